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

const (
	tidyEvery = time.Minute // how often a store looks for erases that were cut short
	tidyTime  = 30 * time.Second
	tidyMost  = 20
)

// Erase deletes the session and leaves a tombstone; see session.Journal and the package's description.
func (s *Store) Erase(ctx context.Context, key session.Key, p session.Position, t session.Tombstone) error {
	const op = "dynamodb.Erase"
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return writeErr(op, err)
	}
	defer end()
	pk := partition(key)
	if p == (session.Position{}) {
		if err := s.notForeign(ctx, key); err != nil {
			return writeErr(op, neverSent(err))
		}
	}
	stone, spilled, err := s.tombstone(ctx, key, pk, p.Life, t)
	if err != nil {
		return writeErr(op, neverSent(err))
	}
	c := newChange()
	c.is(p)
	old, err := call(ctx, s, ifRefused, (*dynamodb.Client).PutItem, &dynamodb.PutItemInput{
		TableName: &s.table, Item: stone, ReturnValues: types.ReturnValueAllOld,
		ConditionExpression: &c.condition, ExpressionAttributeNames: c.names, ExpressionAttributeValues: c.values,
	})
	if err != nil {
		if spilled != "" && asFailure(err).unsent {
			_ = s.removeValue(ctx, pk, spilled)
		}
		return writeErr(op, err)
	}
	if name := (&holder{item: old.Attributes}).str(tombNameAttr); name != "" {
		_ = s.removeValue(ctx, pk, name)
	}
	if err := s.sweep(ctx, key, p.Life); err != nil {
		f := *asFailure(err)
		f.unsent, f.conflict = false, false
		f.msg = "the session is erased, and not all of it is deleted yet: " + f.msg
		return writeErr(op, &f)
	}
	return nil
}

// tombstone is the head item of an erased session, still with its key. The keys that are too many for it are put beside.
func (s *Store) tombstone(ctx context.Context, key session.Key, pk string, life uint64, t session.Tombstone) (stone item, spilled string, err error) {
	stone = at(pk, headKey)
	stone[lifeAttr], stone[lenAttr], stone[untilAttr] = num(life), num(uint64(0)), num(t.Until)
	stone[idAttr], stone[unsweptAttr] = str(key.ID), num(1)
	if key.Tenant != "" {
		stone[tenantAttr] = str(key.Tenant)
	}
	stone[agendaName], stone[dueName] = str(unswept), num(max(1, now()))
	stone[ttlName] = seconds(max(t.Until, now()))
	if len(t.Keys) == 0 {
		return stone, "", nil
	}
	data, err := json.Marshal(t.Keys)
	if err != nil {
		return nil, "", err
	}
	if len(data) <= largest/2 {
		stone[tombAttr] = bin(data)
		return stone, "", nil
	}
	spilled = "ak#t#" + nonce()
	items := content(pk, spilled, data, nil)
	for _, i := range items {
		i[ttlName] = stone[ttlName]
	}
	stone[tombNameAttr] = str(spilled)
	return stone, spilled, s.put(ctx, putting(items...))
}

// sweep deletes what an erased session has left of that life and those before, and then its key. It may be called by
// several at once.
func (s *Store) sweep(ctx context.Context, key session.Key, life uint64) error {
	pk := partition(key)
	if err := s.remove(ctx, between{pk: pk, from: "ak#0", to: inLife(life, last)}); err != nil {
		return err
	}
	if err := s.remove(ctx, between{pk: directory(key.Tenant), from: entry(key.ID, 0), to: entry(key.ID, life)}); err != nil {
		return err
	}
	c := newChange()
	c.removes(idAttr, tenantAttr, unsweptAttr, agendaName, dueName)
	c.iff(c.name(lifeAttr) + " = " + c.value("life", num(life)))
	c.iff("attribute_exists(" + c.name(unsweptAttr) + ")")
	_, err := call(ctx, s, always, (*dynamodb.Client).UpdateItem, c.update(s.table, pk, headKey))
	if err != nil && asFailure(err).conflict {
		return nil // somebody else did it, or the id is used again
	}
	return err
}

// tidy finishes erases that were cut short.
func (s *Store) tidy() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || time.Since(s.tidied) < tidyEvery {
		return
	}
	s.tidied = time.Now()
	s.work.Go(func() {
		ctx, cancel := context.WithTimeout(s.ctx, tidyTime)
		defer cancel()
		_ = s.tidyNow(ctx) // the next one tries again
	})
}

func (s *Store) tidyNow(ctx context.Context) error {
	found, err := s.indexed(ctx, unswept, now(), tidyMost)
	if err != nil {
		return err
	}
	for _, f := range found {
		i, err := s.get(ctx, f.pk, headKey)
		if err != nil {
			return err
		}
		a := holder{item: i}
		key := session.Key{Tenant: a.str(tenantAttr), ID: a.str(idAttr)}
		if !a.has(unsweptAttr) || partition(key) != f.pk {
			continue // the index is behind
		}
		if err := s.sweep(ctx, key, a.uint(lifeAttr)); err != nil {
			return err
		}
	}
	return nil
}

// indexed finds heads in one part of the index, oldest first.
type found struct {
	pk  string
	due session.Millis
}

func (s *Store) indexed(ctx context.Context, part string, before session.Millis, limit int) ([]found, error) {
	in := &dynamodb.QueryInput{
		TableName: &s.table, IndexName: aws.String(dueIndex),
		KeyConditionExpression:    aws.String("#a = :a AND #d <= :d"),
		ExpressionAttributeNames:  map[string]string{"#a": agendaName, "#d": dueName},
		ExpressionAttributeValues: item{":a": str(part), ":d": num(before)},
	}
	var out []found
	for {
		if limit > 0 {
			in.Limit = aws.Int32(int32(min(limit-len(out), 1000)))
		}
		page, err := call(ctx, s, always, (*dynamodb.Client).Query, in)
		if err != nil {
			return out, err
		}
		for _, i := range page.Items {
			a := holder{item: i}
			out = append(out, found{a.str(partitionName), a.millis(dueName)})
		}
		if len(page.LastEvaluatedKey) == 0 || limit > 0 && len(out) >= limit {
			return out, nil
		}
		in.ExclusiveStartKey = page.LastEvaluatedKey
	}
}
