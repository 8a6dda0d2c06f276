package redis_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/internal/servers"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/store/redis"
)

// ask sends one command to a server and returns its answer, a list as texts.
func ask(t testing.TB, server *servers.RedisServer, command ...string) []string {
	t.Helper()
	got, err := server.Do(context.Background(), command...)
	must(t, err)
	all, ok := got.([]any)
	if !ok {
		all = []any{got}
	}
	out := make([]string, len(all))
	for i, v := range all {
		out[i] = fmt.Sprint(v)
	}
	return out
}

func TestASessionsKeysEndTogetherADayAfterItsExpiry(t *testing.T) {
	server, ctx := servers.Redis(t), context.Background()
	s, at := furnished(t, server.URL, "ttl:", redis.Config{})
	expiry := session.Millis(time.Now().Add(time.Hour).UnixMilli())
	at = grow(t, s, one, at, 1, session.Attention{Due: expiry, Expiry: expiry})
	must(t, s.PutSnapshot(ctx, one, session.Snapshot{Life: 1, Seq: 4, Data: []byte("later")}))
	must(t, s.PutBlob(ctx, one, 1, "later", make([]byte, 700<<10)))
	want := fmt.Sprint(int64(expiry) + 24*time.Hour.Milliseconds())
	n := 0
	for _, key := range ask(t, server, "KEYS", "ttl:*:*:one") {
		n++
		if got := ask(t, server, "PEXPIRETIME", key)[0]; got != want {
			t.Errorf("%s ends at %s, want %s", key, got, want)
		}
	}
	if n != 5 {
		t.Errorf("the session has %d keys, want 5", n)
	}
	at = grow(t, s, one, at, 1, session.Attention{Owner: "r", Epoch: 1, Due: 1})
	for _, key := range ask(t, server, "KEYS", "ttl:*:*:one") {
		if got := ask(t, server, "PEXPIRETIME", key)[0]; got != "-1" {
			t.Errorf("%s ends at %s while there is work", key, got)
		}
	}
	grow(t, s, one, at, 1, session.Attention{Due: 5, Expiry: 5}) // the kernel is late with its erase
	if h := headOf(t, s, one); h.Len != 6 {
		t.Errorf("a session whose expiry has passed is gone at once: %+v", h)
	}
}

func TestAnEraseLeavesNoFormOfTheID(t *testing.T) {
	server, ctx := servers.Redis(t), context.Background()
	s := open(t, server.URL, redis.Config{Prefix: "erase:", Buckets: 16})
	key := session.Key{Tenant: "tenant", ID: "very-secret-id"}
	for _, next := range []session.Attention{{Due: 5}, {Owner: "r1", Epoch: 1, Due: 5}, {}} {
		at := grow(t, s, key, headOf(t, s, key).Position, 2, next)
		must(t, s.PutBlob(ctx, key, at.Life, "d", make([]byte, 1<<20)))
		must(t, s.PutSnapshot(ctx, key, session.Snapshot{Life: at.Life, Seq: 2, Data: make([]byte, 1<<20)}))
		until := time.Now().Add(time.Hour).UnixMilli()
		must(t, s.Erase(ctx, key, at, session.Tombstone{Until: session.Millis(until + 5000000)}))
		left := ask(t, server, "KEYS", "*")
		slices.Sort(left)
		if len(left) != 2 || !strings.Contains(left[0], ":t:") || left[1] != "erase:{meta}:meta" {
			t.Errorf("what is left is %q, want a tombstone and what the store was made with", left)
		}
		if got := ask(t, server, "PEXPIRETIME", left[0])[0]; got != fmt.Sprint(until+5000000) {
			t.Errorf("the tombstone ends at %s, want %d", got, until+5000000)
		}
		if all := strings.Join(append(left, ask(t, server, "HGETALL", left[0])...), " "); strings.Contains(all, "secret") || strings.Contains(all, "tenant") {
			t.Errorf("the id is in %s", all)
		}
	}
}

func TestWhatTheIndexesNameWithoutAHeadIsForgotten(t *testing.T) {
	server, ctx := servers.Redis(t), context.Background()
	s := open(t, server.URL, redis.Config{Prefix: "gone:", Buckets: 1})
	mine := session.Key{Tenant: "t", ID: "mine"}
	grow(t, s, one, session.Position{}, 1, session.Attention{Due: 5})
	grow(t, s, mine, session.Position{}, 1, session.Attention{Owner: "r", Epoch: 1, Due: 5})
	ask(t, server, "DEL", "gone:{b0000}:h:one", "gone:{b0000}:r:one", "gone:{b0000}:h:t/mine", "gone:{b0000}:r:t/mine") // as when they end by themselves
	for _, owner := range []string{"", "r"} {
		if heads, err := s.Due(ctx, owner, 9, 9); err != nil || len(heads) != 0 {
			t.Errorf("due of %q: %v, %v", owner, heads, err)
		}
	}
	if left := ask(t, server, "KEYS", "gone:{b*"); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
	grow(t, s, one, session.Position{}, 1, session.Attention{Due: 5})
	if heads, err := s.Due(ctx, "", 9, 9); err != nil || len(heads) != 1 {
		t.Errorf("due after the id was used again: %v, %v", heads, err)
	}
}

func TestASessionOfTheKernelsPredecessorIsNeverTouched(t *testing.T) {
	server, ctx := servers.Redis(t), context.Background()
	s := open(t, server.URL, redis.Config{Prefix: "old:", Buckets: 16})
	ask(t, server, "SET", "old:one", "\x80\x04\x95pickle")
	unreadable := func(what string, err error) {
		t.Helper()
		if fault.KindOf(err) != fault.Unreadable || fault.Try(err) == "" {
			t.Errorf("%s: %v (%s), want unreadable and what to try", what, err, fault.KindOf(err))
		}
	}
	_, _, err := s.Read(ctx, one, 0, 0)
	unreadable("read", err)
	heads, err := s.Heads(ctx, []session.Key{one, {ID: "two"}})
	unreadable("heads", err)
	if len(heads) != 2 || heads[0].Key.ID != "" || heads[1].Key.ID != "two" {
		t.Errorf("the heads are %+v, want one without a key, and the other", heads)
	}
	err = s.Append(ctx, one, session.Position{}, after(session.Position{}, "x"), session.Attention{})
	unreadable("append", err)
	if !errors.Is(err, session.ErrNotSent) {
		t.Errorf("append: %v, want ErrNotSent", err)
	}
	if got := ask(t, server, "GET", "old:one")[0]; got != "\x80\x04\x95pickle" {
		t.Errorf("it is now %q", got)
	}
	grow(t, s, session.Key{Tenant: "t", ID: "one"}, session.Position{}, 1, session.Attention{}) // it knew no tenants
}

func TestAStoreThatWasMadeOtherwiseRefusesEveryCall(t *testing.T) {
	server, ctx := servers.Redis(t), context.Background()
	first := open(t, server.URL, redis.Config{Prefix: "made:", Buckets: 16})
	did, err := first.Init(ctx)
	if err != nil || len(did) != 1 {
		t.Errorf("init did %q, %v", did, err)
	}
	if did, err = first.Init(ctx); err != nil || len(did) != 0 {
		t.Errorf("init again did %q, %v", did, err)
	}
	s := open(t, server.URL, redis.Config{Prefix: "made:", Buckets: 17})
	for range 2 {
		err := s.Append(ctx, one, session.Position{}, after(session.Position{}, "x"), session.Attention{})
		if fault.KindOf(err) != fault.Config || !errors.Is(err, session.ErrNotSent) {
			t.Errorf("append: %v (%s)", err, fault.KindOf(err))
		}
		if _, err := s.Heads(ctx, []session.Key{one}); fault.KindOf(err) != fault.Config {
			t.Errorf("heads: %v", err)
		}
		if _, err := s.Watch(t.Context()); fault.KindOf(err) != fault.Config {
			t.Errorf("watch: %v", err)
		}
	}
	ask(t, server, "HSET", "made:{meta}:meta", "format", "2")
	newer := open(t, server.URL, redis.Config{Prefix: "made:", Buckets: 16})
	if _, err := newer.Meta(ctx); fault.KindOf(err) != fault.Unreadable {
		t.Errorf("a newer format: %v", err)
	}
}

func TestALongJournalIsReadInPages(t *testing.T) {
	server, ctx := servers.Redis(t), context.Background()
	s := open(t, server.URL, redis.Config{Prefix: "long:", Buckets: 16})
	const n = 1200 // of a few bytes, and some large ones
	at := grow(t, s, one, session.Position{}, n, session.Attention{})
	for range 3 {
		rec := after(at, strings.Repeat("large", 140<<10))
		must(t, s.Append(ctx, one, at, rec, session.Attention{}))
		at = rec.Position()
	}
	_, records, err := s.Read(ctx, one, 0, 0)
	if err != nil || len(records) != n+3 || records[n+2].Position() != at {
		t.Fatalf("read %d records, %v", len(records), err)
	}
	must(t, s.PutSnapshot(ctx, one, session.Snapshot{Life: 1, Seq: n, Data: []byte("s")}))
	must(t, s.Trim(ctx, one, 1, n))
	if _, records, err = s.Read(ctx, one, n, 0); err != nil || len(records) != 3 {
		t.Errorf("read %d records after a trim, %v", len(records), err)
	}
}

func TestAnAppendIsOneCommandAndASecondWhereReplicasMustHaveIt(t *testing.T) {
	primary := servers.Redis(t)
	servers.Replica(t, primary)
	p := newProxy(t, primary.Addr)
	for level, want := range map[redis.Level]string{redis.Async: "[EVALSHA]", redis.Replicated: "[EVALSHA WAIT]"} {
		s, at := furnished(t, p.url, string(level)+":", redis.Config{Durability: level})
		if d := s.Durability(); d.AppendWrites != len(strings.Fields(want)) {
			t.Errorf("%s: %d commands are declared", level, d.AppendWrites)
		}
		headOf(t, s, one) // from now on the server knows the script
		p.seen()
		for range 5 {
			at = grow(t, s, one, at, 1, session.Attention{Due: 5})
			if got := fmt.Sprint(p.seen()); got != want {
				t.Errorf("%s: an append sent %s, want %s", level, got, want)
			}
		}
		if _, err := s.Heads(context.Background(), []session.Key{one}); err != nil {
			t.Error(err)
		}
		if got := fmt.Sprint(p.seen()); got != "[EVALSHA]" {
			t.Errorf("%s: heads sent %s", level, got)
		}
	}
}

func TestTheExaminationSaysWhatAnOperatorMustKnow(t *testing.T) {
	server, ctx := servers.Redis(t), context.Background()
	finding := func(s *redis.Store, check string) session.Finding {
		t.Helper()
		all, err := s.Examine(ctx)
		must(t, err)
		for _, f := range all {
			if (f.Try == "") != (f.Severity == session.FindingOK) {
				t.Errorf("%s (%s): the advice is %q", f.Check, f.Severity, f.Try)
			}
		}
		i := slices.IndexFunc(all, func(f session.Finding) bool { return f.Check == check })
		if i < 0 {
			t.Fatalf("there is no finding %s in %+v", check, all)
		}
		return all[i]
	}
	want := func(s *redis.Store, check string, severity session.Severity, text string) {
		t.Helper()
		if f := finding(s, check); f.Severity != severity || !strings.Contains(f.Text, text) {
			t.Errorf("%+v, want %s with %q", f, severity, text)
		}
	}
	s := open(t, server.URL, redis.Config{})
	want(s, "version", session.FindingOK, "Redis")
	want(s, "clock", session.FindingOK, "agrees")
	want(s, "eviction", session.FindingOK, "noeviction")
	want(s, "persistence", session.FindingWarn, "no log")
	want(s, "replicas", session.FindingWarn, "no replica")
	want(open(t, server.URL, redis.Config{Durability: redis.Replicated}), "replicas", session.FindingFail, "wants 1")
	for _, policy := range []string{"allkeys-lru", "volatile-ttl"} {
		ask(t, server, "CONFIG", "SET", "maxmemory-policy", policy, "maxmemory", "0")
		want(s, "eviction", session.FindingWarn, policy)
		ask(t, server, "CONFIG", "SET", "maxmemory", "1gb")
		want(s, "eviction", session.FindingFail, policy)
	}
	ask(t, server, "CONFIG", "SET", "appendonly", "yes", "appendfsync", "everysec")
	want(s, "persistence", session.FindingOK, "everysec")
	ask(t, server, "CONFIG", "SET", "appendfsync", "always")
	want(s, "persistence", session.FindingOK, "before it is answered")
	ask(t, server, "ACL", "SETUSER", "default", "-config")
	want(s, "config", session.FindingWarn, "not allowed")
	want(open(t, servers.Replica(t, server).URL, redis.Config{}), "role", session.FindingFail, "no primary")
	servers.WaitUntil(t, "the primary counts its replica", func(context.Context) error {
		if f := finding(s, "replicas"); f.Severity != session.FindingOK {
			return errors.New(f.Text)
		}
		return nil
	})
	server.Kill()
	if _, err := s.Examine(ctx); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("a server that is down: %v", err)
	}
}
