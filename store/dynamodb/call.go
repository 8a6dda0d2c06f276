package dynamodb

import (
	"context"
	"math/rand/v2"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

const (
	attempts  = 5                     // of a request, where it may be sent again
	firstWait = 25 * time.Millisecond // the longest pause before the second attempt; it doubles
	batchGets = 100                   // keys of one BatchGetItem
	batchPuts = 25                    // items of one BatchWriteItem
)

// repeat says when a request may be sent again.
type repeat bool

const (
	always    repeat = true  // it changes nothing, or the same however often
	ifRefused repeat = false // only when it certainly did nothing
)

// call makes one request of the service, again if it may. An error is a *failure.
func call[In, Out any](ctx context.Context, s *Store, r repeat, f func(*dynamodb.Client, context.Context, *In, ...func(*dynamodb.Options)) (*Out, error), in *In) (*Out, error) {
	api, err := s.client(ctx)
	if err != nil {
		return nil, err
	}
	sent := false // an attempt may have reached the service
	for n := 1; ; n++ {
		out, failed := attempt(ctx, s, api, f, in)
		if failed == nil {
			return out, nil
		}
		sent = sent || !failed.unsent
		if !failed.again || n >= attempts || !bool(r) && sent || !wait(ctx, n) {
			failed.unsent = !sent
			return nil, failed
		}
	}
}

func attempt[In, Out any](ctx context.Context, s *Store, api *dynamodb.Client, f func(*dynamodb.Client, context.Context, *In, ...func(*dynamodb.Options)) (*Out, error), in *In) (*Out, *failure) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	var connected atomic.Bool
	out, err := f(api, httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	}), in)
	if err != nil {
		return nil, judge(err, connected.Load())
	}
	return out, nil
}

// wait pauses before attempt n+1. It reports false when the context ends first.
func wait(ctx context.Context, n int) bool {
	t := time.NewTimer(rand.N(firstWait << (n - 1)))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// get reads one item with strong consistency; nil when it is not there.
func (s *Store) get(ctx context.Context, pk, key string) (item, error) {
	out, err := call(ctx, s, always, (*dynamodb.Client).GetItem, &dynamodb.GetItemInput{
		TableName: &s.table, Key: at(pk, key), ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return nil, err
	}
	return out.Item, nil
}

// getAll reads items with strong consistency, in no order. With an error come those that were had.
func (s *Store) getAll(ctx context.Context, keys []item) (found []item, err error) {
	for len(keys) > 0 {
		n := min(len(keys), batchGets)
		ask := keys[:n]
		keys = keys[n:]
		for round := 1; len(ask) > 0; round++ {
			out, err := call(ctx, s, always, (*dynamodb.Client).BatchGetItem, &dynamodb.BatchGetItemInput{
				RequestItems: map[string]types.KeysAndAttributes{s.table: {Keys: ask, ConsistentRead: aws.Bool(true)}},
			})
			if err != nil {
				return found, err
			}
			found = append(found, out.Responses[s.table]...)
			left := out.UnprocessedKeys[s.table].Keys
			if len(left) == len(ask) && round >= 2*attempts || len(left) > 0 && !wait(ctx, min(round, attempts)) {
				return found, throttled(ctx)
			}
			ask = left
		}
	}
	return found, nil
}

// put writes items that nothing refers to yet, or deletes them. It may be called again with the same ones. An error
// does not say whether some were written.
func (s *Store) put(ctx context.Context, writes []types.WriteRequest) error {
	for len(writes) > 0 {
		n := min(len(writes), batchPuts)
		ask := writes[:n]
		writes = writes[n:]
		for round := 1; len(ask) > 0; round++ {
			out, err := call(ctx, s, always, (*dynamodb.Client).BatchWriteItem, &dynamodb.BatchWriteItemInput{
				RequestItems: map[string][]types.WriteRequest{s.table: ask},
			})
			if err != nil {
				return err
			}
			left := out.UnprocessedItems[s.table]
			if len(left) == len(ask) && round >= 2*attempts || len(left) > 0 && !wait(ctx, min(round, attempts)) {
				return throttled(ctx)
			}
			ask = left
		}
	}
	return nil
}

func throttled(ctx context.Context) *failure {
	f := judge(&types.ThrottlingException{Message: aws.String("parts of a batch were not processed")}, true)
	f.unsent, f.err = false, ctx.Err()
	return f
}

func putting(items ...item) []types.WriteRequest {
	out := make([]types.WriteRequest, len(items))
	for i, it := range items {
		out[i].PutRequest = &types.PutRequest{Item: it}
	}
	return out
}

func deleting(keys []item) []types.WriteRequest {
	out := make([]types.WriteRequest, len(keys))
	for i, k := range keys {
		out[i].DeleteRequest = &types.DeleteRequest{Key: item{partitionName: k[partitionName], sortName: k[sortName]}}
	}
	return out
}

// between asks for the items of a partition from one sort key to another, both included, in order.
type between struct {
	pk, from, to string
	keysOnly     bool
	page         int32 // items of one request, 0 as many as fit
}

// query calls each for every page until it returns false.
func (s *Store) query(ctx context.Context, b between, each func([]item) (bool, error)) error {
	in := &dynamodb.QueryInput{
		TableName: &s.table, ConsistentRead: aws.Bool(true),
		KeyConditionExpression:    aws.String("#p = :p AND #k BETWEEN :from AND :to"),
		ExpressionAttributeNames:  map[string]string{"#p": partitionName, "#k": sortName},
		ExpressionAttributeValues: item{":p": str(b.pk), ":from": str(b.from), ":to": str(b.to)},
	}
	if b.keysOnly {
		in.ProjectionExpression = aws.String("#p, #k")
	}
	if b.page > 0 {
		in.Limit = aws.Int32(b.page)
	}
	for {
		out, err := call(ctx, s, always, (*dynamodb.Client).Query, in)
		if err != nil {
			return err
		}
		more, err := each(out.Items)
		if err != nil || !more || len(out.LastEvaluatedKey) == 0 {
			return err
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
}

// all is query into one slice.
func (s *Store) all(ctx context.Context, b between) (found []item, err error) {
	err = s.query(ctx, b, func(page []item) (bool, error) {
		found = append(found, page...)
		return true, nil
	})
	return found, err
}
