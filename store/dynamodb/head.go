package dynamodb

import (
	"context"
	"encoding/json"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/agentkernel/agentkernel/session"
)

// head is a head item. The zero one is that of an id that was never used.
type head struct {
	session.Head
	first    uint64 // the oldest record that is kept
	snap     uint64 // what the newest snapshot covers, 0 when there is none
	snapName string // its sort key
	tombName string // where the tombstone's keys are, when they are many
	there    bool
	unswept  bool // erased, and not everything is deleted yet
}

// attributes of a head that others than its keys are named by
const (
	tenantAttr, idAttr                = "tenant", "id"
	lifeAttr, lenAttr, lastAttr       = "life", "len", "last"
	ownerAttr, epochAttr, expiryAttr  = "owner", "epoch", "expiry"
	updatedAttr, firstAttr            = "updated", "first"
	snapAttr, snapNameAttr            = "snap", "snap_at"
	untilAttr, tombAttr, tombNameAttr = "tomb_until", "tomb_keys", "tomb_at"
	unsweptAttr                       = "unswept"
)

// readHead makes sense of a head item. The keys of a tombstone that are elsewhere are not in it.
func readHead(key session.Key, i item) (head, error) {
	h := head{Head: session.Head{Key: key}, first: 1}
	if len(i) == 0 {
		return h, nil
	}
	a := holder{item: i}
	h.there = true
	h.Position = session.Position{Life: a.uint(lifeAttr), Len: a.uint(lenAttr), LastID: a.str(lastAttr)}
	if a.has(untilAttr) {
		h.Tomb = &session.Tombstone{Until: a.millis(untilAttr)}
		h.unswept, h.tombName = a.has(unsweptAttr), a.str(tombNameAttr)
		if b := a.bytes(tombAttr); len(b) > 0 {
			if err := json.Unmarshal(b, &h.Tomb.Keys); err != nil {
				return h, corrupt("the tombstone of session %s makes no sense", key)
			}
		}
	} else {
		h.Attention = session.Attention{Owner: a.str(ownerAttr), Epoch: a.uint(epochAttr), Due: a.millis(dueName), Expiry: a.millis(expiryAttr)}
		h.Updated = a.millis(updatedAttr)
		h.first = max(1, a.uint(firstAttr))
		h.snap, h.snapName = a.uint(snapAttr), a.str(snapNameAttr)
	}
	if a.err != nil {
		return h, corrupt("the head of session %s makes no sense: %v", key, a.err)
	}
	return h, nil
}

// head reads a session's head. It is the first touch of an id that may be the incumbent's.
func (s *Store) head(ctx context.Context, key session.Key) (head, error) {
	i, err := s.get(ctx, partition(key), headKey)
	if err != nil {
		return head{}, err
	}
	return s.complete(ctx, key, i)
}

// complete makes a head of its item and of what else has to be looked at.
func (s *Store) complete(ctx context.Context, key session.Key, i item) (head, error) {
	h, err := readHead(key, i)
	if err != nil {
		return h, err
	}
	if !h.there {
		return h, s.notForeign(ctx, key)
	}
	if h.tombName != "" {
		data, found, err := s.value(ctx, partition(key), h.tombName)
		if err != nil {
			return h, err
		}
		if found && json.Unmarshal(data, &h.Tomb.Keys) != nil {
			return h, corrupt("the tombstone of session %s makes no sense", key)
		}
	}
	return h, nil
}

// notForeign is an error when the id, of which we have nothing, names a partition of the incumbent's.
func (s *Store) notForeign(ctx context.Context, key session.Key) error {
	if key.Tenant != "" {
		return nil
	}
	out, err := call(ctx, s, always, (*dynamodb.Client).Query, &dynamodb.QueryInput{
		TableName: &s.table, ConsistentRead: aws.Bool(true), Limit: aws.Int32(1),
		KeyConditionExpression:    aws.String("#p = :p"),
		ProjectionExpression:      aws.String("#p"),
		ExpressionAttributeNames:  map[string]string{"#p": partitionName},
		ExpressionAttributeValues: item{":p": str(key.ID)},
	})
	if err != nil {
		return err
	}
	if len(out.Items) > 0 {
		return foreign(key.ID)
	}
	return nil
}

// change builds a conditional update of one item.
type change struct {
	names       map[string]string
	values      item
	set, remove string
	condition   string
}

func newChange() *change { return &change{names: map[string]string{}, values: item{}} }

func (c *change) name(attribute string) string {
	c.names["#"+attribute] = attribute
	return "#" + attribute
}

func (c *change) value(name string, v types.AttributeValue) string {
	c.values[":"+name] = v
	return ":" + name
}

func list(so, more string) string {
	if so == "" {
		return more
	}
	return so + ", " + more
}

func (c *change) sets(attribute string, v types.AttributeValue) {
	c.set = list(c.set, c.name(attribute)+" = "+c.value("new_"+attribute, v))
}

func (c *change) removes(attributes ...string) {
	for _, a := range attributes {
		c.remove = list(c.remove, c.name(a))
	}
}

// setsOr sets an attribute, or removes it when there is nothing to say.
func (c *change) setsOr(attribute string, something bool, v types.AttributeValue) {
	if something {
		c.sets(attribute, v)
	} else {
		c.removes(attribute)
	}
}

// iff adds a condition.
func (c *change) iff(condition string) {
	if c.condition != "" {
		condition = c.condition + " AND " + condition
	}
	c.condition = condition
}

// is makes it a condition that the head is exactly at a position. A head that is absent is at the zero one.
func (c *change) is(p session.Position) {
	same := c.name(lifeAttr) + " = " + c.value("life", num(p.Life)) + " AND " + c.name(lenAttr) + " = " + c.value("len", num(p.Len)) + " AND "
	if p.LastID == "" {
		same += "attribute_not_exists(" + c.name(lastAttr) + ")"
	} else {
		same += c.name(lastAttr) + " = " + c.value("last", str(p.LastID))
	}
	if p == (session.Position{}) {
		same = "(attribute_not_exists(" + c.name(sortName) + ") OR " + same + ")"
	}
	c.iff(same)
}

// inLife makes it a condition that the session lives that life.
func (c *change) inLife(life uint64) {
	c.iff(c.name(lifeAttr) + " = " + c.value("life", num(life)))
	c.iff(c.name(lenAttr) + " > " + c.value("none", num(uint64(0))))
}

func (c *change) update(table, pk, key string) *dynamodb.UpdateItemInput {
	expression := ""
	if c.set != "" {
		expression = "SET " + c.set
	}
	if c.remove != "" {
		expression += " REMOVE " + c.remove
	}
	return &dynamodb.UpdateItemInput{
		TableName: &table, Key: at(pk, key),
		UpdateExpression: &expression, ConditionExpression: nonEmpty(c.condition),
		ExpressionAttributeNames: c.names, ExpressionAttributeValues: c.values,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}
}

func nonEmpty(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func now() session.Millis { return session.Millis(time.Now().UnixMilli()) }

// seconds is a time as the TTL attribute wants it, rounded up.
func seconds(t session.Millis) types.AttributeValue { return num(int64(t)/1000 + 1) }
