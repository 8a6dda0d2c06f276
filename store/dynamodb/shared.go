package dynamodb

import (
	"bytes"
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// Attributes of what is shared.
const (
	counterAttr, infoAttr                   = "counter", "info"
	valueAttr, endAttr                      = "value", "until"
	formatAttr, generationAttr, bucketsAttr = "format", "generation", "buckets"
)

// Beat writes a replica's counter and info. Now and then it also starts to finish erases that were cut short, without
// waiting for them.
func (s *Store) Beat(ctx context.Context, r session.Replica) error {
	const op = "dynamodb.Beat"
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return writeErr(op, err)
	}
	defer end()
	i := at(replicas, "r#"+r.ID)
	i[counterAttr] = num(r.Counter)
	if len(r.Info) > 0 {
		i[infoAttr] = bin(bytes.Clone(r.Info))
	}
	_, err = call(ctx, s, ifRefused, (*dynamodb.Client).PutItem, &dynamodb.PutItemInput{TableName: &s.table, Item: i})
	if err == nil {
		s.tidy()
	}
	return writeErr(op, err)
}

// Replicas lists the entries in the order of their ids.
func (s *Store) Replicas(ctx context.Context) ([]session.Replica, error) {
	const op = "dynamodb.Replicas"
	given := ctx
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return nil, readErr(given, op, err)
	}
	defer end()
	items, err := s.all(ctx, between{pk: replicas, from: "r#", to: "r#" + last})
	if err != nil {
		return nil, readErr(given, op, err)
	}
	out := make([]session.Replica, 0, len(items))
	for _, i := range items {
		a := holder{item: i}
		out = append(out, session.Replica{ID: strings.TrimPrefix(sortKey(i), "r#"), Counter: a.uint(counterAttr), Info: bytes.Clone(a.bytes(infoAttr))})
		if a.err != nil {
			return nil, readErr(given, op, corrupt("a replica's entry makes no sense: %v", a.err))
		}
	}
	return out, nil
}

// Leave removes a replica's entry.
func (s *Store) Leave(ctx context.Context, id string) error {
	const op = "dynamodb.Leave"
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return writeErr(op, err)
	}
	defer end()
	_, err = call(ctx, s, ifRefused, (*dynamodb.Client).DeleteItem, &dynamodb.DeleteItemInput{TableName: &s.table, Key: at(replicas, "r#"+id)})
	return writeErr(op, err)
}

// PutHint replaces the hint of that name.
func (s *Store) PutHint(ctx context.Context, h session.Hint) error {
	const op = "dynamodb.PutHint"
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return writeErr(op, err)
	}
	defer end()
	i := at(hints, "h#"+h.Name)
	i[endAttr], i[ttlName] = num(h.Until), seconds(h.Until)
	if len(h.Value) > 0 {
		i[valueAttr] = bin(bytes.Clone(h.Value))
	}
	_, err = call(ctx, s, ifRefused, (*dynamodb.Client).PutItem, &dynamodb.PutItemInput{TableName: &s.table, Item: i})
	return writeErr(op, err)
}

// Hints lists the hints whose name has the prefix and whose time has not passed, in the order of their names.
func (s *Store) Hints(ctx context.Context, prefix string) ([]session.Hint, error) {
	const op = "dynamodb.Hints"
	given := ctx
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return nil, readErr(given, op, err)
	}
	defer end()
	in := &dynamodb.QueryInput{
		TableName: &s.table, ConsistentRead: aws.Bool(true),
		KeyConditionExpression:    aws.String("#p = :p AND begins_with(#k, :k)"),
		ExpressionAttributeNames:  map[string]string{"#p": partitionName, "#k": sortName},
		ExpressionAttributeValues: item{":p": str(hints), ":k": str("h#" + prefix)},
	}
	var out []session.Hint
	for t := now(); ; {
		page, err := call(ctx, s, always, (*dynamodb.Client).Query, in)
		if err != nil {
			return nil, readErr(given, op, err)
		}
		for _, i := range page.Items {
			a := holder{item: i}
			if until := a.millis(endAttr); until > t {
				out = append(out, session.Hint{Name: strings.TrimPrefix(sortKey(i), "h#"), Value: bytes.Clone(a.bytes(valueAttr)), Until: until})
			}
		}
		if len(page.LastEvaluatedKey) == 0 {
			return out, nil
		}
		in.ExclusiveStartKey = page.LastEvaluatedKey
	}
}

// Meta returns what Init wrote.
func (s *Store) Meta(ctx context.Context) (session.Meta, error) {
	const op = "dynamodb.Meta"
	given := ctx
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return session.Meta{}, readErr(given, op, err)
	}
	defer end()
	m, err := s.meta(ctx)
	return m, readErr(given, op, err)
}

func (s *Store) meta(ctx context.Context) (session.Meta, error) {
	i, err := s.get(ctx, metaKey, metaKey)
	if err != nil {
		if f := asFailure(err); f.kind == fault.Config && f.unsent && f.try == initTry {
			f.msg = "there is no table " + s.table + " in this region and account"
		}
		return session.Meta{}, err
	}
	if i == nil {
		return session.Meta{}, &failure{
			unsent: true, kind: fault.Config, try: initTry,
			msg: "table " + s.table + " was not made ready for this program",
		}
	}
	a := holder{item: i}
	m := session.Meta{Format: int(a.uint(formatAttr)), Generation: a.uint(generationAttr), Buckets: int(a.uint(bucketsAttr))}
	return m, nil
}

const initTry = "run: ak store init"

// RaiseGeneration makes Meta's Generation one higher.
func (s *Store) RaiseGeneration(ctx context.Context) error {
	const op = "dynamodb.RaiseGeneration"
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return writeErr(op, err)
	}
	defer end()
	m, err := s.meta(ctx)
	if err != nil {
		return writeErr(op, neverSent(err))
	}
	c := newChange()
	c.sets(generationAttr, num(m.Generation+1))
	c.iff(c.name(generationAttr) + " = " + c.value("was", num(m.Generation)))
	_, err = call(ctx, s, ifRefused, (*dynamodb.Client).UpdateItem, c.update(s.table, metaKey, metaKey))
	if err != nil && asFailure(err).conflict {
		return nil // somebody else has just raised it
	}
	return writeErr(op, err)
}
