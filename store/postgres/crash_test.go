package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/internal/servers"
	"github.com/agentkernel/agentkernel/session"
)

// until polls until ok, and fails the test when it takes too long.
func until(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	end := time.After(60 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			tb.Fatalf("%s: not within a minute", what)
		}
	}
}

// load appends to one session until stop, and notes what was acknowledged. After an error it looks where the session
// stands, as a kernel does.
type load struct {
	s     *Store
	key   session.Key
	acked map[uint64]string
	count *atomic.Int64
}

func (l *load) run(t *testing.T, stop <-chan struct{}) {
	var at session.Position
	known := true
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		if !known {
			heads, err := l.s.Heads(ctx, []session.Key{l.key})
			if err == nil {
				at, known = heads[0].Position, true
			}
		} else {
			rec := record(at, fmt.Sprint(n, strings.Repeat(" content", 100)))
			err := l.s.Append(ctx, l.key, at, rec, session.Attention{Owner: "r", Epoch: rec.Seq})
			switch {
			case err == nil:
				at = rec.Position()
				l.acked[rec.Seq] = rec.ID
				l.count.Add(1)
			case errors.Is(err, session.ErrConflict):
				t.Errorf("%s: a conflict without another writer, at %+v", l.key, at)
			case !errors.Is(err, session.ErrNotSent) && fault.KindOf(err) != fault.OutcomeUnknown:
				t.Errorf("%s: an append ended in %v, which is neither refused nor unknown", l.key, err)
			}
			known = err == nil
		}
		cancel()
	}
}

func TestAKilledServerLosesNothingThatWasAcknowledged(t *testing.T) {
	p := servers.Postgres(t)
	s := open(t, p.URL(), Config{MaxConns: 6})
	var count atomic.Int64
	var wg sync.WaitGroup
	stop := make(chan struct{})
	loads := make([]*load, 6)
	for i := range loads {
		loads[i] = &load{s: s, key: session.Key{ID: fmt.Sprintf("s%d", i)}, acked: map[uint64]string{}, count: &count}
		wg.Go(func() { loads[i].run(t, stop) })
	}
	const rounds, enough = 4, 200
	for range rounds {
		was := count.Load()
		until(t, "appends are acknowledged", func() bool { return count.Load() > was+enough })
		p.Kill()
		p.Start()
	}
	was := count.Load()
	until(t, "appends go on by themselves", func() bool { return count.Load() > was+enough })
	close(stop)
	wg.Wait()
	for _, l := range loads {
		head, records, err := s.Read(t.Context(), l.key, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		if uint64(len(records)) != head.Len || head.Epoch != head.Len {
			t.Errorf("%s has %d records, head %+v", l.key, len(records), head)
		}
		for seq, id := range l.acked {
			if seq > head.Len || records[seq-1].ID != id {
				t.Errorf("%s: record %d was acknowledged as %s and is not there", l.key, seq, id)
			}
		}
	}
	t.Logf("%d acknowledged over %d kills", count.Load(), rounds)
}

func TestAServerThatIsDownRefusesAndIsFoundAgain(t *testing.T) {
	p := servers.Postgres(t)
	p.Kill()
	s := open(t, p.URL(), Config{ConnectTimeout: 2 * time.Second})
	at := session.Position{}
	rec := record(at, "x")
	err := s.Append(t.Context(), session.Key{ID: "a"}, at, rec, session.Attention{})
	if !errors.Is(err, session.ErrNotSent) || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("an append while the server is down: %v, of kind %q", err, fault.KindOf(err))
	}
	if _, _, err := s.Read(t.Context(), session.Key{ID: "a"}, 0, 0); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("a read while the server is down: %v", err)
	}
	p.Start()
	if err := s.Append(t.Context(), session.Key{ID: "a"}, at, rec, session.Attention{}); err != nil {
		t.Errorf("an append when the server is back: %v", err)
	}
}

func TestCallsToAFrozenServerEndByTheirContext(t *testing.T) {
	p, other := servers.Postgres(t), servers.Postgres(t)
	s, two := open(t, p.URL(), Config{}), open(t, other.URL(), Config{})
	key := session.Key{ID: "a"}
	for _, s := range []*Store{s, two} {
		if err := s.Append(t.Context(), key, session.Position{}, record(session.Position{}, "1"), session.Attention{}); err != nil {
			t.Fatal(err)
		}
	}
	at := record(session.Position{}, "1").Position()
	p.Freeze()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	var wg sync.WaitGroup
	for i := range 20 { // more than there are connections
		wg.Go(func() {
			err := s.Append(ctx, key, at, record(at, fmt.Sprint(i)), session.Attention{})
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("an append to a frozen server: %v", err)
			}
			if _, err := s.Heads(ctx, []session.Key{key}); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("a read from a frozen server: %v", err)
			}
		})
	}
	if err := two.Append(t.Context(), key, at, record(at, "2"), session.Attention{}); err != nil {
		t.Errorf("an append to another server: %v", err)
	}
	wg.Wait()
	p.Thaw()
	until(t, "the thawed server answers", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, _, err := s.Read(ctx, key, 0, 0)
		return err == nil
	})
}

func TestACloseEndsCallsThatNobodyAnswers(t *testing.T) {
	p := servers.Postgres(t)
	s := open(t, p.URL(), Config{})
	key := session.Key{ID: "a"}
	if err := s.Append(t.Context(), key, session.Position{}, record(session.Position{}, "1"), session.Attention{}); err != nil {
		t.Fatal(err)
	}
	p.Freeze()
	at := record(session.Position{}, "1").Position()
	failed := make(chan error)
	go func() { failed <- s.Append(context.Background(), key, at, record(at, "2"), session.Attention{}) }()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-failed; !errors.Is(err, errClosed) {
		t.Errorf("an append that a close overtakes: %v", err)
	}
	p.Thaw()
}
