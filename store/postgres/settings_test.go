package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/internal/servers"
	"github.com/agentkernel/agentkernel/session"
)

func TestEveryConnectionWaitsForTheDisk(t *testing.T) {
	p := servers.Postgres(t, "synchronous_commit=off", "default_transaction_isolation=serializable")
	for _, usual := range []string{"off", "local", "remote_write", "on"} {
		s := open(t, p.URL()+"&options=-csynchronous_commit%3D"+usual, Config{})
		conn, err := s.take(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var commit, isolation, fsync string
		err = conn.QueryRow(t.Context(), "SELECT current_setting('synchronous_commit'), current_setting('transaction_isolation'), current_setting('fsync')").Scan(&commit, &isolation, &fsync)
		conn.Release()
		if err != nil || commit != "on" || isolation != "read committed" || fsync != "on" {
			t.Errorf("where the default is %s, a session has synchronous_commit %q, isolation %q, fsync %q, %v", usual, commit, isolation, fsync, err)
		}
	}
}

// findings maps checks to severities.
func findings(t *testing.T, s *Store) map[string]session.Severity {
	t.Helper()
	all, err := s.Examine(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]session.Severity{}
	for _, f := range all {
		out[f.Check] = f.Severity
		if f.Text == "" || strings.HasSuffix(f.Text, ".") || (f.Try == "") != (f.Severity == session.FindingOK) {
			t.Errorf("a finding is %+v", f)
		}
	}
	return out
}

func TestExamineFindsWhatWouldLoseTurns(t *testing.T) {
	good := findings(t, open(t, servers.Postgres(t).URL(), Config{}))
	for check, want := range map[string]session.Severity{
		"fsync": session.FindingOK, "full_page_writes": session.FindingOK, "synchronous_commit": session.FindingOK,
		"standby": session.FindingOK, "autovacuum": session.FindingOK, "schema": session.FindingOK,
	} {
		if good[check] != want {
			t.Errorf("on a good server %s is %q, want %q", check, good[check], want)
		}
	}
	p := servers.Postgres(t, "fsync=off", "full_page_writes=off", "autovacuum=off", "max_connections=10")
	s := open(t, p.URL(), Config{Standby: SyncStandby})
	if _, err := s.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	raw(t, p.URL(), "INSERT INTO agentkernel.migrations (version, name) VALUES (99, 'newer')")
	bad := findings(t, s)
	for check, want := range map[string]session.Severity{
		"fsync": session.FindingFail, "full_page_writes": session.FindingWarn, "standby": session.FindingWarn,
		"autovacuum": session.FindingWarn, "schema": session.FindingFail, "max_connections": session.FindingWarn,
	} {
		if bad[check] != want {
			t.Errorf("on a bad server %s is %q, want %q", check, bad[check], want)
		}
	}
}

func TestDurabilityFollowsTheDeclaredStandby(t *testing.T) {
	for standby, want := range map[Standby]session.Loss{
		"": session.CannotHappen, NoStandby: session.CannotHappen, AsyncStandby: session.LosesRecent, SyncStandby: session.LosesNothing,
	} {
		d := open(t, "postgres://u@127.0.0.1/db", Config{Standby: standby}).Durability()
		if d.Failover.Loses != want || d.KeepsAcknowledged() != (standby != AsyncStandby) {
			t.Errorf("with standby %q: %+v", standby, d)
		}
	}
	if _, err := Open(t.Context(), "postgres://u@127.0.0.1/db", Config{Standby: "maybe"}); err == nil {
		t.Error("standby maybe was taken")
	}
}

func TestAStandbyThatTheConfigurationDoesNotKnowIsFound(t *testing.T) {
	for standby, want := range map[Standby]session.Severity{NoStandby: session.FindingFail, AsyncStandby: session.FindingWarn, SyncStandby: session.FindingWarn} {
		e := examination{cfg: Config{Standby: standby}, followers: 1}
		if e.standby(""); len(e.found) != 1 || e.found[0].Severity != want {
			t.Errorf("standby %s beside one that follows: %+v, want %s", standby, e.found, want)
		}
	}
}

func TestACommitThatDidNotWaitForItsStandbyIsUnknown(t *testing.T) {
	p := quick(t)
	s := open(t, p.URL(), Config{Standby: SyncStandby})
	if _, err := s.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	raw(t, p.URL(), "ALTER SYSTEM SET synchronous_standby_names = 'nobody'", "SELECT pg_reload_conf()")
	conn, err := pgx.Connect(t.Context(), p.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	key, first := session.Key{ID: "a"}, record(session.Position{}, "1")
	for what, write := range map[string]func() error{
		"an append": func() error { return s.Append(t.Context(), key, session.Position{}, first, session.Attention{}) },
		"a blob":    func() error { return s.PutBlob(t.Context(), session.Key{ID: "b"}, 1, "d", []byte("x")) },
	} {
		done := make(chan error, 1)
		go func() { done <- write() }()
		until(t, "the commit waits", func() bool {
			var n int // of waiting commits whose wait was now broken off
			err := conn.QueryRow(t.Context(), "SELECT count(*) FROM (SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep') c").Scan(&n)
			if err != nil {
				t.Fatal(err)
			}
			return n > 0
		})
		if err := <-done; fault.KindOf(err) != fault.OutcomeUnknown || errors.Is(err, session.ErrNotSent) {
			t.Errorf("%s whose wait was broken off: %v", what, err)
		}
	}
	if heads, err := s.Heads(t.Context(), []session.Key{key}); err != nil || heads[0].Position != first.Position() {
		t.Errorf("the record is on this server: %+v, %v", heads, err)
	}
}

func TestAServerThatTakesNoWritesIsLeft(t *testing.T) {
	old, new := quick(t), quick(t)
	url := fmt.Sprintf("postgres://agentkernel@%s,%s/postgres?sslmode=disable", old.Address(), new.Address())
	s := open(t, url, Config{})
	key, first := session.Key{ID: "a"}, record(session.Position{}, "1")
	if err := s.Append(t.Context(), key, session.Position{}, first, session.Attention{}); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, new.URL(), Config{}).Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	raw(t, old.URL(), "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
	at := first.Position()
	// The server that is writable now does not have the record, so an append there is a conflict.
	until(t, "the writable server is found", func() bool {
		rec := record(at, "2")
		err := s.Append(t.Context(), key, at, rec, session.Attention{})
		switch {
		case err == nil: // the old one had not heard of it yet
			at = rec.Position()
		case errors.Is(err, session.ErrConflict):
			return true
		case !errors.Is(err, session.ErrNotSent):
			t.Fatalf("an append to a server that takes no writes: %v", err)
		}
		return false
	})
}

func TestItWorksWithoutPreparedStatements(t *testing.T) {
	p := quick(t)
	for _, mode := range []string{"exec", "simple_protocol", "cache_describe"} {
		s := open(t, p.URL()+"&default_query_exec_mode="+mode, Config{Schema: mode})
		for _, v := range verbs() {
			key := session.Key{ID: "a" + strings.ReplaceAll(v.name, " ", "-")}
			if v.prep != nil {
				if err := v.prep(s, key); err != nil {
					t.Fatalf("%s: before %s: %v", mode, v.name, err)
				}
			}
			if err := v.call(t.Context(), s, key); err != nil {
				t.Errorf("%s: %s: %v", mode, v.name, err)
			}
			if done, err := v.done(s, key); err != nil || !done {
				t.Errorf("%s: %s was done: %t, %v", mode, v.name, done, err)
			}
		}
		if _, err := s.List(t.Context(), session.Query{Search: "p", Unfinished: true}); err != nil {
			t.Errorf("%s: List: %v", mode, err)
		}
		if heads, err := s.Heads(t.Context(), []session.Key{{ID: "aappend"}}); err != nil || heads[0].Len != 2 {
			t.Errorf("%s: Heads: %+v, %v", mode, heads, err)
		}
	}
}
