package postgres

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

func TestAURLThatCannotBeUsedIsRefusedWithoutItsSecrets(t *testing.T) {
	const secret = "hunter2"
	for what, url := range map[string]string{
		"nothing":                    "",
		"another scheme":             "mysql://u:hunter2@127.0.0.1/db",
		"a port that is no number":   "postgres://u:hunter2@127.0.0.1:x/db",
		"a password with a slash":    "postgres://u:hunter2/x@127.0.0.1/db",
		"a password with an escape":  "postgres://u:hunter2%zz@127.0.0.1/db",
		"a password as the port":     "postgres://127.0.0.1:hunter2/db",
		"an unknown mode":            "postgres://u:hunter2@127.0.0.1/db?sslmode=hunter2",
		"a file that is not there":   "postgres://u:hunter2@127.0.0.1/db?sslmode=verify-full&sslrootcert=/nowhere/hunter2",
		"a pool without connections": "postgres://u:hunter2@127.0.0.1/db?pool_max_conns=0",
		"words":                      "user=u password=hunter2 host",
		"an open quote":              "user=u password='hunter2",
		"a wrong number":             "user=u password=hunter2 connect_timeout=soon",
	} {
		s, err := Open(t.Context(), url, Config{})
		if err == nil {
			t.Errorf("%s is taken for a URL", what)
			_ = s.Close()
			continue
		}
		for _, text := range []string{err.Error(), fmt.Sprintf("%+v %#v", err, err), fault.Try(err)} {
			if strings.Contains(text, secret) {
				t.Errorf("%s: the error shows the secret: %s", what, text)
			}
		}
		if fault.KindOf(err) != fault.Config || fault.Try(err) == "" {
			t.Errorf("%s: %v is of kind %q, with the advice %q", what, err, fault.KindOf(err), fault.Try(err))
		}
	}
}

func TestAFailedConnectionDoesNotShowThePassword(t *testing.T) {
	p := quick(t)
	url := strings.Replace(p.URL(), "agentkernel@", "nobody:hunter2@", 1)
	s := open(t, url, Config{})
	_, err := s.Meta(t.Context())
	if err == nil || strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, errors.Unwrap(err)), "hunter2") {
		t.Errorf("the error is %#v", err)
	}
	if fault.Try(err) == "" || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("an unknown user: %v, %q", err, fault.Try(err))
	}
}

func TestAConfigThatCannotBeUsedIsRefusedAsAWhole(t *testing.T) {
	_, err := Open(t.Context(), "postgres://u@127.0.0.1/db", Config{Schema: "pg_mine", MaxConns: -1, ConnectTimeout: -1})
	for _, want := range []string{"Schema", "MaxConns", "ConnectTimeout"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not name %s: %v", want, err)
		}
	}
}

func TestManyProcessesMayStartOnAnEmptyDatabaseAtOnce(t *testing.T) {
	p := quick(t)
	const openers = 8
	var wg sync.WaitGroup
	var mu sync.Mutex
	made := map[string]int{}
	for i := range openers {
		s := open(t, p.URL(), Config{Schema: `odd "name` + "\u00e9"})
		wg.Go(func() {
			if i%2 == 0 {
				if _, err := s.Meta(t.Context()); err != nil {
					t.Errorf("opener %d: %v", i, err)
				}
				return
			}
			did, err := s.Init(t.Context())
			if err != nil {
				t.Errorf("opener %d: %v", i, err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, d := range did {
				made[d]++
			}
		})
	}
	wg.Wait()
	for what, n := range made {
		if n > 1 {
			t.Errorf("%d processes say: %s", n, what)
		}
	}
	s := open(t, p.URL(), Config{})
	did, err := s.Init(t.Context())
	if err != nil || len(did) != 1+len(migrations) {
		t.Errorf("on an empty database Init says %q, %v", did, err)
	}
	if did, err := s.Init(t.Context()); err != nil || len(did) != 0 {
		t.Errorf("where all is there Init says %q, %v", did, err)
	}
}

func TestAStoreThatCannotBeServedIsRefused(t *testing.T) {
	p := quick(t)
	for what, c := range map[string]struct {
		change string
		kind   fault.Kind
	}{
		"a newer schema":       {"INSERT INTO agentkernel.migrations (version, name) VALUES (99, 'newer')", fault.Unreadable},
		"a newer format":       {"UPDATE agentkernel.meta SET format = 99", fault.Unreadable},
		"a divided agenda":     {"UPDATE agentkernel.meta SET buckets = 4", fault.Config},
		"no meta":              {"DELETE FROM agentkernel.meta", fault.Corrupt},
		"no generation":        {"UPDATE agentkernel.meta SET generation = 0", fault.Corrupt},
		"a table that is gone": {"DROP TABLE agentkernel.meta", fault.Corrupt},
	} {
		first := open(t, p.URL(), Config{})
		if _, err := first.Init(t.Context()); err != nil {
			t.Fatal(err)
		}
		raw(t, p.URL(), c.change)
		s := open(t, p.URL(), Config{})
		for range 2 { // it is asked anew each time
			err := s.Append(t.Context(), session.Key{ID: "a"}, session.Position{}, record(session.Position{}, "1"), session.Attention{})
			if fault.KindOf(err) != c.kind || !errors.Is(err, session.ErrNotSent) {
				t.Errorf("%s: an append ends in %v of kind %q, want %q", what, err, fault.KindOf(err), c.kind)
			}
		}
		raw(t, p.URL(), "DROP SCHEMA agentkernel CASCADE")
	}
}

func TestARunningStoreWhoseTablesAreGoneDoesNotBeginAnew(t *testing.T) {
	p := quick(t)
	s := open(t, p.URL(), Config{})
	key, first := session.Key{ID: "a"}, record(session.Position{}, "1")
	if err := s.Append(t.Context(), key, session.Position{}, first, session.Attention{}); err != nil {
		t.Fatal(err)
	}
	raw(t, p.URL(), "DROP SCHEMA agentkernel CASCADE")
	if head, _, err := s.Read(t.Context(), key, 0, 0); fault.KindOf(err) != fault.Corrupt {
		t.Errorf("a read: %+v, %v", head, err)
	}
	if err := s.Append(t.Context(), key, session.Position{}, first, session.Attention{}); !errors.Is(err, session.ErrNotSent) {
		t.Errorf("an append: %v", err)
	}
}

func TestARoleWithoutRightsIsToldWhatToDo(t *testing.T) {
	p := quick(t)
	raw(t, p.URL(), "CREATE ROLE poor LOGIN")
	poor := strings.Replace(p.URL(), "agentkernel@", "poor@", 1)
	s := open(t, poor, Config{})
	if _, err := s.Meta(t.Context()); fault.KindOf(err) != fault.Config || !strings.Contains(fault.Try(err), "ak store init") {
		t.Errorf("a role that may not make the schema: %v, %q", err, fault.Try(err))
	}
	if _, err := open(t, p.URL(), Config{}).Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	raw(t, p.URL(), "GRANT USAGE ON SCHEMA agentkernel TO poor", "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA agentkernel TO poor")
	if err := s.Append(t.Context(), session.Key{ID: "a"}, session.Position{}, record(session.Position{}, "1"), session.Attention{}); err != nil {
		t.Errorf("a role with no more than the rights on the tables: %v", err)
	}
}

func TestMigrationsAreNumberedWithoutAGap(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a gap was taken")
		}
	}()
	mustMigrations(fstest.MapFS{"migrations/0001_a.sql": {}, "migrations/0003_b.sql": {}})
}
