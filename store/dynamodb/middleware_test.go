package dynamodb

import (
	"context"
	"errors"
	"net/http/httptrace"
	"sync"
	"testing"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go/middleware"
)

// around puts f around every request: it is given the operation and its input, and calls next, or does not. It is the
// outermost layer, so what f returns is what the store sees.
func around(f func(ctx context.Context, op string, in any, next func(context.Context) (any, error)) (any, error)) func(*middleware.Stack) error {
	return func(stack *middleware.Stack) error {
		return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("test/around", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (out middleware.InitializeOutput, meta middleware.Metadata, err error) {
			out.Result, err = f(ctx, awsmiddleware.GetOperationName(ctx), in.Parameters, func(ctx context.Context) (any, error) {
				got, m, err := next.HandleInitialize(ctx, in)
				meta = m
				return got.Result, err
			})
			return out, meta, err
		}), middleware.After)
	}
}

// reached tells the store that a connection was had, as sending a request does.
func reached(ctx context.Context) {
	if trace := httptrace.ContextClientTrace(ctx); trace != nil && trace.GotConn != nil {
		trace.GotConn(httptrace.GotConnInfo{})
	}
}

// sizes fails the test when an item of more than 400 KB is written.
func sizes(tb testing.TB) func(*middleware.Stack) error {
	return around(func(ctx context.Context, op string, in any, next func(context.Context) (any, error)) (any, error) {
		for _, i := range written(in) {
			if n := size(i); n > 400_000 {
				tb.Errorf("%s writes an item of %d bytes", op, n)
			}
		}
		return next(ctx)
	})
}

// written are the items that a request puts.
func written(in any) (items []item) {
	switch in := in.(type) {
	case *dynamodb.PutItemInput:
		items = append(items, in.Item)
	case *dynamodb.BatchWriteItemInput:
		for _, writes := range in.RequestItems {
			for _, w := range writes {
				if w.PutRequest != nil {
					items = append(items, w.PutRequest.Item)
				}
			}
		}
	case *dynamodb.UpdateItemInput:
		items = append(items, in.ExpressionAttributeValues)
	}
	return items
}

// size is at least what the service counts for an item.
func size(i item) int {
	n := 0
	for name, v := range i {
		n += len(name) + 3
		switch v := v.(type) {
		case *types.AttributeValueMemberS:
			n += len(v.Value)
		case *types.AttributeValueMemberB:
			n += len(v.Value)
		case *types.AttributeValueMemberN:
			n += len(v.Value)
		default:
			panic("the store writes a type that nobody measures")
		}
	}
	return n
}

// tap counts requests, and does what a test tells it with some.
type tap struct {
	mu    sync.Mutex
	ops   []string
	fault func(n int, op string, in any) *trouble
}

// trouble is what happens to a request.
type trouble struct {
	after bool          // the service does it first
	late  chan struct{} // the service does it when this is closed, long after the caller was told err
	done  chan struct{} // closed when the late one is through
	err   error
}

var errLost = errors.New("the connection broke")

func (p *tap) option() func(*middleware.Stack) error {
	return around(func(ctx context.Context, op string, in any, next func(context.Context) (any, error)) (any, error) {
		p.mu.Lock()
		n := len(p.ops)
		p.ops = append(p.ops, op)
		var what *trouble
		if p.fault != nil {
			what = p.fault(n, op, in)
		}
		p.mu.Unlock()
		switch {
		case what == nil:
			return next(ctx)
		case what.late != nil:
			reached(ctx)
			ctx := context.WithoutCancel(ctx)
			go func() {
				defer close(what.done)
				<-what.late
				_, _ = next(ctx)
			}()
			return nil, what.err
		case what.after:
			if _, err := next(ctx); err != nil {
				return nil, err
			}
		}
		if errors.Is(what.err, errLost) {
			reached(ctx)
		}
		return nil, what.err
	})
}

func (p *tap) reset(f func(n int, op string, in any) *trouble) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ops, p.fault = nil, f
}

func (p *tap) seen() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.ops...)
}
