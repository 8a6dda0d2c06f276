package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// gated is a store whose writer stops before every commit until the test lets it go on.
type gated struct {
	*Store
	commits chan chan error // the writer offers a channel; what the test sends on it is what COMMIT answers
}

func openGated(t *testing.T, cfg Config) *gated {
	g := &gated{Store: open(t, filepath.Join(t.TempDir(), "ak.db"), cfg), commits: make(chan chan error)}
	g.beforeCommit = func() error {
		reply := make(chan error)
		g.commits <- reply
		return <-reply
	}
	return g
}

// start begins an append of the first record of a session, and returns where its answer will be.
func (g *gated) start(ctx context.Context, id string) <-chan error {
	done := make(chan error, 1)
	rec := record(session.Position{}, []byte(id))
	go func() { done <- g.Append(ctx, session.Key{ID: id}, session.Position{}, rec, session.Attention{}) }()
	return done
}

// queued waits until n requests are in the queue.
func (g *gated) queued(n int) {
	for {
		g.queueMu.Lock()
		have := len(g.queue)
		g.queueMu.Unlock()
		if have == n {
			return
		}
		runtime.Gosched()
	}
}

func (g *gated) length(t *testing.T, id string) uint64 {
	t.Helper()
	heads, err := g.Heads(context.Background(), []session.Key{{ID: id}})
	if err != nil {
		t.Fatal(err)
	}
	return heads[0].Len
}

func TestABatchCommitsOnceAndItsConflictsStayAlone(t *testing.T) {
	g := openGated(t, Config{})
	first := g.start(t.Context(), "first")
	gate := <-g.commits
	var waiting []<-chan error
	for i := range 10 {
		waiting = append(waiting, g.start(t.Context(), fmt.Sprintf("s%d", i/2))) // two for each id: one must lose
	}
	g.queued(10)
	gate <- nil
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	(<-g.commits) <- nil // one commit for all ten
	won, lost := 0, 0
	for _, done := range waiting {
		switch err := <-done; {
		case err == nil:
			won++
		case errors.Is(err, session.ErrConflict) && fault.KindOf(err) == fault.Conflict:
			lost++
		default:
			t.Errorf("an append answered %v", err)
		}
	}
	if won != 5 || lost != 5 {
		t.Errorf("%d won and %d lost, want 5 and 5", won, lost)
	}
}

func TestAQueuedRequestIsWithdrawnWhenItsContextEnds(t *testing.T) {
	g := openGated(t, Config{})
	first := g.start(t.Context(), "first")
	gate := <-g.commits
	ctx, cancel := context.WithCancel(t.Context())
	waiting := g.start(ctx, "withdrawn")
	g.queued(1)
	cancel()
	if err := <-waiting; !errors.Is(err, session.ErrNotSent) || !errors.Is(err, context.Canceled) || fault.KindOf(err) != fault.Cancelled {
		t.Errorf("the withdrawn append answered %v", err)
	}
	gate <- nil
	if err := <-first; err != nil {
		t.Error(err)
	}
	last := g.start(t.Context(), "last")
	// The withdrawn request may get an empty transaction of its own, or share the last one's.
	for done := false; !done; {
		select {
		case gate := <-g.commits:
			gate <- nil
		case err := <-last:
			if done = true; err != nil {
				t.Error(err)
			}
		}
	}
	if n := g.length(t, "withdrawn"); n != 0 {
		t.Errorf("the withdrawn append was written: length %d", n)
	}
}

func TestARequestInTheTransactionCompletesWhenItsContextEnds(t *testing.T) {
	g := openGated(t, Config{})
	ctx, cancel := context.WithCancel(t.Context())
	done := g.start(ctx, "a")
	gate := <-g.commits
	cancel()
	if err := <-done; fault.KindOf(err) != fault.OutcomeUnknown || !errors.Is(err, context.Canceled) || errors.Is(err, session.ErrNotSent) {
		t.Errorf("the append answered %v, want outcome_unknown", err)
	}
	gate <- nil
	last := g.start(t.Context(), "b")
	(<-g.commits) <- nil
	if err := <-last; err != nil {
		t.Error(err)
	}
	if n := g.length(t, "a"); n != 1 {
		t.Errorf("length %d, want the record to be there", n)
	}
}

func TestAFailedCommitIsAmbiguousAndTheFileIsReopened(t *testing.T) {
	g := openGated(t, Config{})
	current := func() *conns {
		g.mu.RLock()
		defer g.mu.RUnlock()
		return g.Store.conns
	}
	ok := g.start(t.Context(), "ok")
	gate := <-g.commits
	lost, loser := g.start(t.Context(), "lost"), g.start(t.Context(), "ok")
	g.queued(2)
	before := current()
	gate <- nil
	if err := <-ok; err != nil {
		t.Fatal(err)
	}
	(<-g.commits) <- errors.New("input/output error")
	if err := <-lost; fault.KindOf(err) != fault.OutcomeUnknown || errors.Is(err, session.ErrNotSent) {
		t.Errorf("the append whose commit failed answered %v, want outcome_unknown", err)
	}
	if err := <-loser; !errors.Is(err, session.ErrNotSent) {
		t.Errorf("the append that would have conflicted answered %v, want it unsent", err)
	}
	if n := g.length(t, "ok"); n != 1 {
		t.Errorf("length %d after reopening, want 1", n)
	}
	if now := current(); now == before || now == nil {
		t.Error("the connections of the failed commit are still in use")
	}
	again := g.start(t.Context(), "again")
	(<-g.commits) <- nil
	if err := <-again; err != nil {
		t.Errorf("append after reopening: %v", err)
	}
}

// locked holds the file's write lock as another process would, until the returned function is called.
func locked(t *testing.T, path string) (release func()) {
	t.Helper()
	db, err := sql.Open("sqlite", dsn(path))
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	return sync.OnceFunc(func() { db.Close() })
}

func TestALockedFileIsWaitedForWithinTheTimeout(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ak.db")
	s := open(t, path, Config{BusyTimeout: 100 * time.Millisecond})
	patient := open(t, path, Config{BusyTimeout: time.Minute})
	key, rec := session.Key{ID: "a"}, record(session.Position{}, []byte("x"))
	release := locked(t, path)
	defer release()

	err := s.Append(t.Context(), key, session.Position{}, rec, session.Attention{})
	if !errors.Is(err, session.ErrNotSent) || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("the impatient append answered %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err = patient.Append(ctx, key, session.Position{}, rec, session.Attention{})
	if !errors.Is(err, session.ErrNotSent) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the append whose deadline passed answered %v", err)
	}
	if heads, err := s.Heads(t.Context(), []session.Key{key}); err != nil || heads[0].Len != 0 {
		t.Errorf("a read while the file is locked: %+v, %v", heads, err)
	}
	done := make(chan error, 1)
	go func() { done <- patient.Append(t.Context(), key, session.Position{}, rec, session.Attention{}) }()
	release()
	if err := <-done; err != nil {
		t.Errorf("the patient append answered %v", err)
	}
}

func TestAFullDiskAndAReadOnlyFileRefuseTheWriteAndRecover(t *testing.T) {
	for name, c := range map[string]struct{ breaks, mends, text string }{
		"full":      {"PRAGMA max_page_count(1)", "PRAGMA max_page_count(1000000)", "full"},
		"read-only": {"PRAGMA query_only(1)", "PRAGMA query_only(0)", "readonly"},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, filepath.Join(t.TempDir(), "ak.db"), Config{})
			at := session.Position{}
			put := func() error {
				rec := record(at, make([]byte, 64<<10))
				err := s.Append(t.Context(), session.Key{ID: "a"}, at, rec, session.Attention{})
				if err == nil {
					at = rec.Position()
				}
				return err
			}
			if err := put(); err != nil {
				t.Fatal(err)
			}
			if _, err := s.conns.write.ExecContext(t.Context(), c.breaks); err != nil {
				t.Fatal(err)
			}
			err := put()
			if !errors.Is(err, session.ErrNotSent) || fault.KindOf(err) != fault.Unavailable || fault.Try(err) == "" {
				t.Errorf("%v (%s), want it refused as unsent, with advice", err, fault.KindOf(err))
			}
			if heads, err := s.Heads(t.Context(), []session.Key{{ID: "a"}}); err != nil || heads[0].Position != at {
				t.Errorf("after the refusal: %+v, %v, want %+v", heads, err, at)
			}
			if _, err := s.conns.write.ExecContext(t.Context(), c.mends); err != nil {
				t.Fatal(err)
			}
			if err := put(); err != nil {
				t.Errorf("append after recovery: %v", err)
			}
		})
	}
}

func TestABadRequestDoesNotFailItsBatch(t *testing.T) {
	g := openGated(t, Config{})
	first := g.start(t.Context(), "first")
	gate := <-g.commits
	bad := make(chan error, 1)
	go func() {
		bad <- g.write(t.Context(), "sqlite.Bad", func(c *conns) error {
			if _, err := c.exec("DELETE FROM sessions"); err != nil {
				return err
			}
			_, err := c.exec("INSERT INTO meta (name, value) VALUES (NULL, 1)")
			return err
		})
	}()
	g.queued(1)
	good := g.start(t.Context(), "good")
	g.queued(2)
	gate <- nil
	(<-g.commits) <- nil // of good, alone
	if err := <-bad; !errors.Is(err, session.ErrNotSent) {
		t.Errorf("the bad request answered %v", err)
	}
	if err := errors.Join(<-first, <-good); err != nil {
		t.Errorf("its neighbours answered %v", err)
	}
	if n := g.length(t, "first"); n != 1 {
		t.Errorf("what the bad request did before it failed was kept: length %d", n)
	}
}

func TestCloseAnswersWhatIsQueued(t *testing.T) {
	g := openGated(t, Config{})
	first := g.start(t.Context(), "first")
	gate := <-g.commits
	second := g.start(t.Context(), "second")
	g.queued(1)
	closed := make(chan error, 1)
	go func() { closed <- g.Close() }()
	gate <- nil
	(<-g.commits) <- nil
	if err := errors.Join(<-first, <-second, <-closed); err != nil {
		t.Error(err)
	}
}

func TestWatchingEndsWithTheLastWatcher(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "ak.db"), Config{})
	polling := func() bool {
		s.watch.mu.Lock()
		defer s.watch.mu.Unlock()
		return s.watch.end != nil
	}
	if polling() {
		t.Error("it polls before anyone watches")
	}
	ctx, cancel := context.WithCancel(t.Context())
	for range 2 {
		if _, err := s.Watch(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if !polling() {
		t.Error("it does not poll while someone watches")
	}
	cancel()
	s.watch.pollers.Wait()
	if polling() {
		t.Error("it polls after the last watcher has gone")
	}
}
