package sqlite

import (
	"context"
	"database/sql"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// open opens a store that is closed with the test.
func open(tb testing.TB, path string, cfg Config) *Store {
	tb.Helper()
	s, err := Open(context.Background(), path, cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// rawSQL runs statements on the file behind the store's back.
func rawSQL(t *testing.T, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, q := range statements {
		if _, err := db.Exec(q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
}

func TestOpenMakesMissingFoldersAndKeepsOthersOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "er", "ak.db")
	s := open(t, path, Config{})
	if err := s.Beat(t.Context(), session.Replica{ID: "r"}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; want mode 0600", filepath.Base(name), info, err)
		}
	}
	for _, dir := range []string{filepath.Dir(path), filepath.Dir(filepath.Dir(path))} {
		info, err := os.Stat(dir)
		if err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v; want mode 0700", filepath.Base(dir), info, err)
		}
	}
}

func TestOpenTakesEveryFileName(t *testing.T) {
	for _, name := range []string{"a b.db", "a?b=c.db", "a#b.db", "a%20b.db", "ä&ö.db", "file:x.db"} {
		path := filepath.Join(t.TempDir(), name)
		open(t, path, Config{})
		if _, err := os.Stat(path); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// badPaths are places that cannot be opened, and what Open must say of each.
var badPaths = map[string]struct {
	prepare func(t *testing.T, dir string) string // returns the path
	kind    fault.Kind
	text    string
}{
	"empty":  {func(*testing.T, string) string { return "" }, fault.Config, "empty"},
	"folder": {func(_ *testing.T, dir string) string { return dir }, fault.Config, "is a folder"},
	"file as folder": {func(t *testing.T, dir string) string {
		write(t, filepath.Join(dir, "f"), "x")
		return filepath.Join(dir, "f", "ak.db")
	}, fault.Config, "is a file"},
	"no database": {func(t *testing.T, dir string) string {
		path := filepath.Join(dir, "ak.db")
		write(t, path, strings.Repeat("this is a text ", 100))
		return path
	}, fault.Config, "not a database"},
	"another program's": {func(t *testing.T, dir string) string {
		path := filepath.Join(dir, "ak.db")
		rawSQL(t, path, "CREATE TABLE notes (text)")
		return path
	}, fault.Config, "another program"},
	"newer schema": {func(t *testing.T, dir string) string {
		return changed(t, dir, "UPDATE meta SET value = 9 WHERE name = 'schema'")
	}, fault.Unreadable, "schema 9"},
	"newer format": {func(t *testing.T, dir string) string {
		return changed(t, dir, "UPDATE meta SET value = 7 WHERE name = 'format'")
	}, fault.Unreadable, "format 7"},
	"no generation": {func(t *testing.T, dir string) string {
		return changed(t, dir, "DELETE FROM meta WHERE name = 'generation'")
	}, fault.Corrupt, "generation"},
	"damaged": {func(t *testing.T, dir string) string {
		path := changed(t, dir, "DELETE FROM hints")
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		write(t, path, string(b[:4096])+strings.Repeat("\xff", len(b)-4096))
		return path
	}, fault.Corrupt, "malformed"},
	"not writable": {func(t *testing.T, dir string) string {
		path := changed(t, dir, "DELETE FROM hints")
		if err := os.Chmod(path, 0o400); err != nil {
			t.Fatal(err)
		}
		return path
	}, fault.Config, "cannot be written"},
}

func TestOpenSaysWhatIsWrongWithAPath(t *testing.T) {
	for name, c := range badPaths {
		t.Run(name, func(t *testing.T) {
			if name == "not writable" && os.Getuid() == 0 { // root may write everything
				asNobody(t)
				return
			}
			s, err := Open(t.Context(), c.prepare(t, t.TempDir()), Config{})
			if err == nil {
				s.Close()
				t.Fatal("it opened")
			}
			if fault.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%s: %v; want %s and %q", fault.KindOf(err), err, c.kind, c.text)
			}
		})
	}
}

// asNobody runs this test again in a process of a user without rights.
func asNobody(t *testing.T) {
	t.Helper()
	dir, err := os.MkdirTemp("", "ak-nobody") // t.TempDir is closed to other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	binary, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(dir, "sqlite.test")
	if err := os.WriteFile(copied, binary, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(copied, "-test.v", "-test.run", "^"+strings.ReplaceAll(t.Name(), "/", "$/^")+"$")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("as another user: %v\n%s", err, out)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// changed makes a store in dir, closes it and runs a statement on it.
func changed(t *testing.T, dir, statement string) string {
	t.Helper()
	path := filepath.Join(dir, "ak.db")
	s, err := Open(t.Context(), path, Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	rawSQL(t, path, statement)
	return path
}

func TestOpenReportsEveryBadSetting(t *testing.T) {
	_, err := Open(t.Context(), filepath.Join(t.TempDir(), "ak.db"), Config{Readers: -1, BusyTimeout: -1, WatchEvery: -1})
	if fault.KindOf(err) != fault.Config {
		t.Fatalf("kind %s: %v", fault.KindOf(err), err)
	}
	for _, name := range []string{"Readers", "BusyTimeout", "WatchEvery"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%v does not name %s", err, name)
		}
	}
}

func TestManyMayOpenANewFileAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ak.db")
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			s, err := Open(t.Context(), path, Config{})
			if err != nil {
				t.Error(err)
				return
			}
			if m, err := s.Meta(t.Context()); err != nil || m != (session.Meta{Format: Format, Generation: 1, Buckets: 1}) {
				t.Errorf("meta %+v, %v", m, err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestTheGenerationIsReadFromTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ak.db")
	s := open(t, path, Config{})
	rawSQL(t, path, "UPDATE meta SET value = 5 WHERE name = 'generation'")
	if m, err := s.Meta(t.Context()); err != nil || m.Generation != 5 {
		t.Errorf("meta %+v, %v; want generation 5", m, err)
	}
}

func TestAFileThatVanishedIsNeverAnEmptyStore(t *testing.T) {
	for name, loss := range map[string]func(path string) error{
		"removed": os.Remove,
		"emptied": func(path string) error { return os.Truncate(path, 0) },
	} {
		path := filepath.Join(t.TempDir(), "ak.db")
		s, err := Open(t.Context(), path, Config{})
		if err != nil {
			t.Fatal(err)
		}
		s.mu.Lock() // what a failed commit does: the connections are closed, the next use opens new ones
		if err := s.conns.close(); err != nil {
			t.Fatal(err)
		}
		s.conns = nil
		s.mu.Unlock()
		if err := loss(path); err != nil {
			t.Fatal(err)
		}
		if heads, err := s.Heads(t.Context(), []session.Key{{ID: "a"}}); err == nil {
			t.Errorf("%s: a read answers %+v", name, heads)
		}
		if err := s.Beat(t.Context(), session.Replica{ID: "r"}); err == nil {
			t.Errorf("%s: a write is taken", name)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
