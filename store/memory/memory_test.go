package memory_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestItFollowsTheClockOfABubbleAndLeavesNoGoroutineThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := memory.New()
		changes, err := s.Watch(ctx)
		if err != nil {
			t.Fatal(err)
		}
		key := session.Key{ID: "a"}
		rec, _, err := session.NewRecord(session.Position{}, "r", 0, 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Append(ctx, key, session.Position{}, rec, session.Attention{}); err != nil {
			t.Fatal(err)
		}
		<-changes
		heads, err := s.Heads(ctx, []session.Key{key})
		if err != nil || heads[0].Updated != session.Millis(time.Now().UnixMilli()) {
			t.Errorf("head %+v, %v; want it updated at the bubble's time", heads, err)
		}
		until := session.Millis(time.Now().Add(time.Second).UnixMilli())
		if err := s.PutHint(ctx, session.Hint{Name: "h", Until: until}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second) // virtual
		if hints, err := s.Hints(ctx, ""); err != nil || len(hints) != 0 {
			t.Errorf("hints %v, %v; want none after their end", hints, err)
		}
		cancel()
		synctest.Wait()
		if err := s.Append(ctx, key, rec.Position(), rec, session.Attention{}); !errors.Is(err, session.ErrNotSent) {
			t.Errorf("append with an ended context: %v; want ErrNotSent", err)
		}
	})
}
