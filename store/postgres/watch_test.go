package postgres

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel/session"
)

// heard waits for a signal.
func heard(t *testing.T, ch <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(60 * time.Second):
		t.Fatalf("no signal %s", what)
	}
}

func TestAWatcherHearsAgainWhenTheServerIsBack(t *testing.T) {
	p := quick(t)
	s, other := open(t, p.URL(), Config{}), open(t, p.URL(), Config{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ch, err := s.Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	heard(t, ch, "when it began to listen")
	key := session.Key{ID: "a"}
	var at session.Position
	grow := func() {
		rec := record(at, "x")
		until(t, "an append", func() bool {
			heads, err := other.Heads(t.Context(), []session.Key{key})
			if err == nil && heads[0].Position != rec.Position() {
				err = other.Append(t.Context(), key, at, rec, session.Attention{})
			}
			return err == nil
		})
		at = rec.Position()
	}
	grow()
	heard(t, ch, "of an append")
	p.Kill()
	p.Start()
	heard(t, ch, "when it listens again")
	grow()
	heard(t, ch, "of an append after the server came back")
}

func TestManyAppendsAreNotifiedTogether(t *testing.T) {
	p := quick(t)
	s, other := open(t, p.URL(), Config{}), open(t, p.URL(), Config{})
	conn, err := other.dial(t.Context(), "LISTEN "+s.channel)
	if err != nil {
		t.Fatal(err)
	}
	defer hangUp(conn)
	began := time.Now()
	const appends = 300
	var at session.Position
	for i := range appends {
		rec := record(at, fmt.Sprint(i))
		if err := s.Append(t.Context(), session.Key{ID: "a"}, at, rec, session.Attention{}); err != nil {
			t.Fatal(err)
		}
		at = rec.Position()
	}
	most := int(time.Since(began)/newsEvery) + 2
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	raw(t, p.URL(), "NOTIFY "+s.channel+", 'end'") // after everything that the closed store sent
	n := 0
	for {
		got, err := conn.WaitForNotification(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got.Payload == "end" {
			break
		}
		n++
	}
	if n == 0 || n > most {
		t.Errorf("%d appends were notified %d times, want 1 to %d", appends, n, most)
	}
	t.Logf("%d appends, %d notifications", appends, n)
}

func TestAReplicaDoesNotHearItself(t *testing.T) {
	p := quick(t)
	s, other := open(t, p.URL(), Config{}), open(t, p.URL(), Config{})
	ch, err := s.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := other.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	heard(t, ch, "when it began to listen")
	heard(t, theirs, "when it began to listen")
	if err := s.Append(t.Context(), session.Key{ID: "a"}, session.Position{}, record(session.Position{}, "1"), session.Attention{}); err != nil {
		t.Fatal(err)
	}
	heard(t, theirs, "of another's append")
	select { // the server sends a notification to all in one order, but on two connections: this can only miss a fault
	case <-ch:
		t.Error("a replica hears its own append")
	default:
	}
}

func TestWatchersEndWithTheirContext(t *testing.T) {
	p := quick(t)
	s := open(t, p.URL(), Config{})
	for range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		for range 2 {
			ch, err := s.Watch(ctx)
			if err != nil {
				t.Fatal(err)
			}
			_ = ch
		}
		cancel()
		until(t, "the listener ends", func() bool {
			s.watch.mu.Lock()
			defer s.watch.mu.Unlock()
			return s.watch.end == nil && len(s.watch.chans) == 0
		})
	}
}
