package fault_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel/fault"
)

func TestKindIsTheFirstInTheChain(t *testing.T) {
	throttled := fault.New(fault.Throttled, "openai.Generate", "slow down").WithAfter(3 * time.Second).WithTry("wait")
	cases := []struct {
		name  string
		err   error
		kind  fault.Kind
		after time.Duration
		try   string
	}{
		{"nil", nil, "", 0, ""},
		{"itself", throttled, fault.Throttled, 3 * time.Second, "wait"},
		{"wrapped", fmt.Errorf("step m0: %w", throttled), fault.Throttled, 3 * time.Second, "wait"},
		{"wrapped twice", fmt.Errorf("turn: %w", fmt.Errorf("step: %w", throttled)), fault.Throttled, 3 * time.Second, "wait"},
		{"joined", errors.Join(io.EOF, throttled), fault.Throttled, 3 * time.Second, "wait"},
		{"the outer of two decides", fault.New(fault.Unavailable, "", "no: %w", throttled), fault.Unavailable, 0, ""},
		{"no Error", io.ErrUnexpectedEOF, fault.Unknown, 0, ""},
		{"an Error without a kind", &fault.Error{Err: io.EOF}, fault.Unknown, 0, ""},
		{"cancelled", fmt.Errorf("call: %w", context.Canceled), fault.Cancelled, 0, ""},
		{"late", fmt.Errorf("call: %w", context.DeadlineExceeded), fault.TimeoutTotal, 0, ""},
		{"an Error about a late call", fault.New(fault.TimeoutIdle, "", "silence: %w", context.DeadlineExceeded), fault.TimeoutIdle, 0, ""},
		{"an Error about a cancelled call", fault.New(fault.Internal, "", "bug: %w", context.Canceled), fault.Internal, 0, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if kind := fault.KindOf(c.err); kind != c.kind {
				t.Errorf("kind %q, want %q", kind, c.kind)
			}
			if after, try := fault.After(c.err), fault.Try(c.err); after != c.after || try != c.try {
				t.Errorf("after %s and %q, want %s and %q", after, try, c.after, c.try)
			}
		})
	}
}

func TestACancelledContextHasAKindWhereverItComesFrom(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if kind := fault.KindOf(ctx.Err()); kind != fault.Cancelled {
		t.Errorf("%q", kind)
	}
	late, stop := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer stop()
	if kind := fault.KindOf(context.Cause(late)); kind != fault.TimeoutTotal {
		t.Errorf("%q", kind)
	}
}

func TestIsComparesKindsOnly(t *testing.T) {
	err := fmt.Errorf("get: %w", fault.New(fault.NotFound, "session.Find", "no turn"))
	for _, c := range []struct {
		target error
		want   bool
	}{
		{&fault.Error{Kind: fault.NotFound}, true},
		{&fault.Error{Kind: fault.Gone}, false},
		{&fault.Error{}, false},
		{&fault.Error{Kind: fault.NotFound, Op: "session.Find"}, false}, // names more than a kind: another failure
		{&fault.Error{Kind: fault.NotFound, Msg: "no turn"}, false},
		{&fault.Error{Kind: fault.NotFound, Err: io.EOF}, false},
		{io.EOF, false},
	} {
		if got := errors.Is(err, c.target); got != c.want {
			t.Errorf("is %#v: %t", c.target, got)
		}
	}
	same := fault.New(fault.NotFound, "op", "x")
	if !errors.Is(same, same) {
		t.Error("an error is not itself")
	}
}

func TestTheCauseStaysInTheChain(t *testing.T) {
	err := fault.New(fault.Transient, "http.Call", "reset: %w", io.ErrUnexpectedEOF)
	if !errors.Is(err, io.ErrUnexpectedEOF) || !errors.Is(fmt.Errorf("x: %w", err), io.ErrUnexpectedEOF) {
		t.Error("the cause is lost")
	}
	if none := fault.New(fault.Transient, "", "reset: %v", io.EOF); none.Unwrap() != nil {
		t.Error("a cause that was only printed became one")
	}
}

func TestTheTextSaysWhatHappened(t *testing.T) {
	for want, err := range map[string]*fault.Error{
		"store.Append: disk full": fault.New(fault.Unavailable, "store.Append", "disk %s", "full"),
		"disk full":               fault.New(fault.Unavailable, "", "disk full"),
		"call: reset: EOF":        fault.New(fault.Transient, "call", "reset: %w", io.EOF),
		"op: EOF":                 {Op: "op", Kind: fault.Transient, Err: io.EOF},
		"op: transient":           {Op: "op", Kind: fault.Transient},
		"transient":               {Kind: fault.Transient},
	} {
		if err.Error() != want {
			t.Errorf("%q, want %q", err.Error(), want)
		}
	}
}

func TestAdviceIsAddedToACopy(t *testing.T) {
	err := fault.New(fault.Limited, "op", "too many")
	advised := err.WithTry("wait for %d s", 5).WithAfter(5 * time.Second)
	if err.Try != "" || err.After != 0 {
		t.Errorf("the original was changed: %+v", err)
	}
	if advised.Try != "wait for 5 s" || advised.After != 5*time.Second || advised.Error() != err.Error() || advised.Kind != err.Kind {
		t.Errorf("%+v", advised)
	}
}
