package redis_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/internal/servers"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/store/redis"
)

// writes are the calls that change something, on a session that stands at at, each with what shows that it was carried out.
func writes(s session.Store, at session.Position) map[string]struct {
	call func(context.Context) error
	done func() bool
} {
	ctx := context.Background()
	type w = struct {
		call func(context.Context) error
		done func() bool
	}
	rec := after(at, "lost")
	blob := func(digest string) func() bool {
		return func() bool { _, err := s.Blob(ctx, one, at.Life, digest); return err == nil }
	}
	head := func() session.Head {
		heads, err := s.Heads(ctx, []session.Key{one})
		if err != nil {
			return session.Head{}
		}
		return heads[0]
	}
	return map[string]w{
		"Append": {func(ctx context.Context) error { return s.Append(ctx, one, at, rec, session.Attention{}) }, func() bool { return head().LastID == rec.ID }},
		"Erase":  {func(ctx context.Context) error { return s.Erase(ctx, one, at, session.Tombstone{Until: 1 << 42}) }, func() bool { return head().Tomb != nil }},
		"PutSnapshot": {func(ctx context.Context) error {
			return s.PutSnapshot(ctx, one, session.Snapshot{Life: at.Life, Seq: at.Len, Data: []byte("s")})
		}, func() bool { snap, err := s.Snapshot(ctx, one); return err == nil && string(snap.Data) == "s" }},
		"Trim": {func(ctx context.Context) error { return s.Trim(ctx, one, at.Life, 1) }, func() bool {
			_, _, err := s.Read(ctx, one, 0, 0)
			return errors.Is(err, session.ErrTrimmed)
		}},
		"PutBlob": {func(ctx context.Context) error { return s.PutBlob(ctx, one, at.Life, "new", []byte("b")) }, blob("new")},
		"DropBlob": {func(ctx context.Context) error {
			all, err := s.BlobList(ctx, one, at.Life)
			if err != nil || len(all) != 1 {
				return errors.New("there is not one blob")
			}
			return s.DropBlob(ctx, one, at.Life, all[0])
		}, func() bool { return !blob("old")() }},
		"Beat": {func(ctx context.Context) error { return s.Beat(ctx, session.Replica{ID: "r2"}) }, func() bool {
			all, err := s.Replicas(ctx)
			return err == nil && len(all) == 2
		}},
		"Leave": {func(ctx context.Context) error { return s.Leave(ctx, "r1") }, func() bool {
			all, err := s.Replicas(ctx)
			return err == nil && len(all) == 0
		}},
		"PutHint": {func(ctx context.Context) error { return s.PutHint(ctx, session.Hint{Name: "h", Until: 1 << 42}) }, func() bool {
			all, err := s.Hints(ctx, "")
			return err == nil && len(all) == 1
		}},
		"RaiseGeneration": {s.RaiseGeneration, func() bool { m, err := s.Meta(ctx); return err == nil && m.Generation == 2 }},
	}
}

var verbs = []string{"Append", "Erase", "PutSnapshot", "Trim", "PutBlob", "DropBlob", "Beat", "Leave", "PutHint", "RaiseGeneration"}

// furnished is a store with one session that the calls of writes find something to do in.
func furnished(t *testing.T, url, prefix string, cfg redis.Config) (*redis.Store, session.Position) {
	t.Helper()
	cfg.Prefix, cfg.Buckets, cfg.OpTimeout, cfg.WaitTimeout = prefix, 16, 30*time.Second, 10*time.Second
	s, ctx := open(t, url, cfg), context.Background()
	at := grow(t, s, one, session.Position{}, 3, session.Attention{Due: 5})
	must(t, s.PutSnapshot(ctx, one, session.Snapshot{Life: 1, Seq: 2, Data: []byte("first")}))
	must(t, s.PutBlob(ctx, one, 1, "old", []byte("b")))
	must(t, s.Beat(ctx, session.Replica{ID: "r1"}))
	return s, at
}

func TestAWriteWhoseAnswerIsLostMayHaveHappened(t *testing.T) {
	server := servers.Redis(t)
	p := newProxy(t, server.Addr)
	for _, verb := range verbs {
		t.Run(verb, func(t *testing.T) {
			first, began := furnished(t, server.URL, verb+":first:", redis.Config{})
			must(t, writes(first, began)[verb].call(context.Background())) // from now on the server knows the script
			s, at := furnished(t, p.url, verb+":", redis.Config{})
			w := writes(s, at)[verb]
			call := w.call
			if verb == "DropBlob" { // it has to know the blob before the cut
				all, err := s.BlobList(context.Background(), one, 1)
				must(t, err)
				call = func(ctx context.Context) error { return s.DropBlob(ctx, one, 1, all[0]) }
			}
			p.cutNext()
			err := call(context.Background())
			if fault.KindOf(err) != fault.OutcomeUnknown || errors.Is(err, session.ErrNotSent) || errors.Is(err, session.ErrConflict) {
				t.Errorf("the answer was lost: %v (%s), want outcome_unknown", err, fault.KindOf(err))
			}
			if !w.done() {
				t.Error("the server carried it out, but it cannot be seen")
			}
		})
	}
}

func TestAReplyThatProvesThatNothingHappenedSaysSo(t *testing.T) {
	p := newProxy(t, servers.Redis(t).Addr)
	s, at := furnished(t, p.url, "replies:", redis.Config{})
	for reply, certain := range map[string]bool{
		"-LOADING Redis is loading the dataset in memory":                                                          true,
		"-READONLY You can't write against a read only replica.":                                                   true,
		"-CLUSTERDOWN The cluster is down":                                                                         true,
		"-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.":                        true,
		"-TRYAGAIN Multiple keys request during rehashing of slot":                                                 true,
		"-MOVED 3999 127.0.0.1:1":                                                                                  true,
		"-NOREPLICAS Not enough good replicas to write.":                                                           true,
		"-OOM command not allowed when used memory > 'maxmemory'. script: 1, on @user_script:12.":                  true,
		"-ERR Error running script (call to f_1): @user_script:12: @user_script: 12: -OOM command not allowed":     true,
		"-MISCONF Redis is configured to save RDB snapshots":                                                       true,
		"-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.":                  true,
		"-NOAUTH Authentication required.":                                                                         true,
		"-NOPERM this user has no permissions to run the 'evalsha' command":                                        true,
		"-NOPERM The user executing the script can't run this command or subcommand script: 1, on @user_script:1.": false,
		"-WRONGTYPE Operation against a key holding the wrong kind of value":                                       false,
		"-ERR something else":                              false,
		"-UNBLOCKED force unblock from blocking operation": false,
		"$3\r\nwat": false,
		"*0":        false,
	} {
		p.answerWith(reply)
		err := s.Append(context.Background(), one, at, after(at, "refused"), session.Attention{})
		if errors.Is(err, session.ErrNotSent) != certain || !certain && fault.KindOf(err) != fault.OutcomeUnknown || err == nil {
			t.Errorf("%.40q: %v (%s); that nothing was written is certain: %t", reply, err, fault.KindOf(err), certain)
		}
	}
	p.answerWith("")
	if h := headOf(t, s, one); h.Position != at {
		t.Errorf("the head moved to %+v", h)
	}
}

func TestAFullServerRefusesAppendsAndStillErases(t *testing.T) {
	server, ctx := servers.Redis(t), context.Background()
	s, at := furnished(t, server.URL, "full:", redis.Config{})
	if _, err := server.Do(ctx, "CONFIG", "SET", "maxmemory", "1"); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(ctx, one, at, after(at, "x"), session.Attention{}); !errors.Is(err, session.ErrNotSent) {
		t.Errorf("append: %v, want ErrNotSent", err)
	}
	if _, records, err := s.Read(ctx, one, 0, 0); err != nil || len(records) != 3 {
		t.Errorf("read: %d records, %v", len(records), err)
	}
	must(t, s.Erase(ctx, one, at, session.Tombstone{Until: 1 << 42}))
}

func TestAServerThatForgotTheScriptsIsTaughtThemAgain(t *testing.T) {
	server, ctx := servers.Redis(t), context.Background()
	for _, verb := range verbs {
		s, at := furnished(t, server.URL, verb+":", redis.Config{})
		w := writes(s, at)[verb]
		if _, err := server.Do(ctx, "SCRIPT", "FLUSH"); err != nil {
			t.Fatal(err)
		}
		if err := w.call(ctx); err != nil || !w.done() {
			t.Errorf("%s after SCRIPT FLUSH: %v, carried out: %t", verb, err, w.done())
		}
	}
}

func TestAReplicaTakesNothingAndTellsNothing(t *testing.T) {
	primary := servers.Redis(t)
	_, at := furnished(t, primary.URL, "replica:", redis.Config{Durability: redis.Async})
	replica := servers.Replica(t, primary)
	s, ctx := open(t, replica.URL, redis.Config{Prefix: "replica:", Buckets: 16}), context.Background()
	if err := s.Append(ctx, one, at, after(at, "x"), session.Attention{}); !errors.Is(err, session.ErrNotSent) {
		t.Errorf("append: %v, want ErrNotSent", err)
	}
	if _, _, err := s.Read(ctx, one, 0, 0); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("read: %v, want an error: a replica may not know the newest", err)
	}
	if _, err := s.Heads(ctx, []session.Key{one}); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("heads: %v, want an error", err)
	}
}

func TestALevelThatIsNotReachedIsAnUnknownOutcome(t *testing.T) {
	primary, ctx := servers.Redis(t), context.Background()
	replica := servers.Replica(t, primary)
	_, at := furnished(t, primary.URL, "level:", redis.Config{Durability: redis.Replicated})
	s := open(t, primary.URL, redis.Config{Prefix: "level:", Buckets: 16, Durability: redis.Replicated, OpTimeout: 10 * time.Second, WaitTimeout: 200 * time.Millisecond})
	headOf(t, s, one)
	replica.Kill()
	rec := after(at, "alone")
	if err := s.Append(ctx, one, at, rec, session.Attention{}); fault.KindOf(err) != fault.OutcomeUnknown || errors.Is(err, session.ErrNotSent) {
		t.Errorf("append without the replica: %v, want outcome_unknown", err)
	}
	if err := s.Append(ctx, one, at, after(at, "other"), session.Attention{}); !errors.Is(err, session.ErrConflict) {
		t.Errorf("append at the old place: %v, want a conflict", err)
	}
	if _, _, err := s.Read(ctx, one, 0, 0); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("read of what no replica has: %v, want an error", err)
	}
	replica.Start()
	servers.WaitUntil(t, "the replica has what it missed", func(ctx context.Context) error {
		_, records, err := s.Read(ctx, one, 3, 0)
		if err == nil && (len(records) != 1 || !bytes.Equal(records[0].Data, rec.Data)) {
			t.Errorf("read %d records, want the one of unknown outcome", len(records))
		}
		return err
	})
}

func TestAFrozenServerHoldsNobodyLongerThanTheTimeForACall(t *testing.T) {
	server := servers.Redis(t)
	_, at := furnished(t, server.URL, "frozen:", redis.Config{})
	s := open(t, server.URL, redis.Config{Prefix: "frozen:", Buckets: 16, OpTimeout: 500 * time.Millisecond, DialTimeout: 200 * time.Millisecond, Conns: 2})
	servers.WaitUntil(t, "it has a connection", func(ctx context.Context) error {
		_, err := s.Heads(ctx, []session.Key{one})
		return err
	})
	server.Freeze()
	done := make(chan error, 12)
	for n := range cap(done) {
		go func() {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			if n%3 == 0 {
				time.AfterFunc(10*time.Millisecond, cancel)
			}
			done <- s.Append(ctx, one, at, after(at, "x"), session.Attention{})
		}()
	}
	kinds := map[fault.Kind]int{}
	for range cap(done) {
		err := <-done // the server is still frozen
		kinds[fault.KindOf(err)]++
		if err == nil || errors.Is(err, session.ErrConflict) {
			t.Errorf("a frozen server answered: %v", err)
		}
	}
	if kinds[fault.OutcomeUnknown] == 0 || kinds[fault.Unavailable] == 0 {
		t.Errorf("of appends to a frozen server with two connections some were sent and some were not; got %v", kinds)
	}
	server.Thaw()
	servers.WaitUntil(t, "the store works again", func(ctx context.Context) error {
		_, err := s.Heads(ctx, []session.Key{one})
		return err
	})
}

func TestAStoreWorksAsSoonAsItsServerDoes(t *testing.T) {
	server := servers.Redis(t)
	server.Kill()
	s, ctx := open(t, server.URL, redis.Config{Prefix: "down:", Buckets: 16}), context.Background()
	err := s.Append(ctx, one, session.Position{}, after(session.Position{}, "x"), session.Attention{})
	if !errors.Is(err, session.ErrNotSent) || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("append to a server that is down: %v (%s)", err, fault.KindOf(err))
	}
	if _, _, err := s.Read(ctx, one, 0, 0); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("read from a server that is down: %v", err)
	}
	changes, err := s.Watch(t.Context())
	must(t, err)
	server.Start()
	servers.WaitUntil(t, "the store works", func(ctx context.Context) error {
		_, err := s.Heads(ctx, []session.Key{one})
		return err
	})
	at := grow(t, s, one, session.Position{}, 1, session.Attention{})
	<-changes
	server.Kill()
	if err := s.Append(ctx, one, at, after(at, "x"), session.Attention{}); err == nil || errors.Is(err, session.ErrConflict) {
		t.Errorf("append to a killed server: %v", err)
	}
	server.Start() // empty: it kept nothing
	servers.WaitUntil(t, "the store works again", func(ctx context.Context) error {
		_, err := s.Heads(ctx, []session.Key{one})
		return err
	})
	if _, err := s.Meta(ctx); fault.KindOf(err) != fault.Corrupt {
		t.Errorf("a server that lost everything passes for the store that it was: %v", err)
	}
}
