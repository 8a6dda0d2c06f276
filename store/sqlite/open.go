package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	lib "modernc.org/sqlite/lib"

	"github.com/agentkernel/agentkernel/fault"
)

// Config tunes a store. The zero value works.
type Config struct {
	Readers     int           // read connections, at most; 0 means 4
	BusyTimeout time.Duration // how long a write waits for another process's lock; 0 means 5 s
	WatchEvery  time.Duration // how often Watch looks for changes; 0 means 25 ms
}

// check fills in defaults and reports everything that is wrong at once.
func (c Config) check() (Config, error) {
	var problems []error
	if c.Readers < 0 {
		problems = append(problems, fmt.Errorf("config: Readers must not be negative, it is %d", c.Readers))
	}
	if c.BusyTimeout < 0 {
		problems = append(problems, fmt.Errorf("config: BusyTimeout must not be negative, it is %s", c.BusyTimeout))
	}
	if c.WatchEvery < 0 {
		problems = append(problems, fmt.Errorf("config: WatchEvery must not be negative, it is %s", c.WatchEvery))
	}
	if c.Readers == 0 {
		c.Readers = 4
	}
	if c.BusyTimeout == 0 {
		c.BusyTimeout = 5 * time.Second
	}
	if c.WatchEvery == 0 {
		c.WatchEvery = 25 * time.Millisecond
	}
	return c, errors.Join(problems...)
}

// Open opens the store in the file at path and makes it when it is not there: the file with mode 0600, folders that are
// missing with mode 0700. Errors are a *fault.Error: Config when path cannot be a store (a folder, not writable, not a
// database, another program's database), Unreadable when a newer release made it, Corrupt when SQLite finds damage,
// Unavailable when another process holds it too long.
func Open(ctx context.Context, path string, cfg Config) (*Store, error) {
	const op = "sqlite.Open"
	cfg, err := cfg.check()
	if err != nil {
		return nil, &fault.Error{Op: op, Kind: fault.Config, Err: err}
	}
	if err := ctx.Err(); err != nil {
		return nil, &fault.Error{Op: op, Kind: fault.KindOf(err), Err: err}
	}
	if path == "" {
		return nil, fault.New(fault.Config, op, "the path of the database file is empty")
	}
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, fault.New(fault.Config, op, "path: %w", err)
	}
	if err := prepareFile(path); err != nil {
		return nil, err
	}
	s := &Store{path: path, cfg: cfg, wake: make(chan struct{}, 1), done: make(chan struct{})}
	if s.conns, err = dial(ctx, path, cfg, true); err != nil {
		return nil, unusable(path, err)
	}
	var unscrubbed int64
	if _, err := s.conns.row("SELECT value FROM meta WHERE name = 'unscrubbed'", nil, &unscrubbed); err != nil {
		s.conns.close()
		return nil, classify(op, err)
	}
	s.scrub.wanted = unscrubbed > 0
	go s.writer()
	return s, nil
}

// unusable says that it is the place that is wrong when SQLite may read the file but not work in its folder.
func unusable(path string, err error) error {
	switch code(err) {
	case lib.SQLITE_READONLY, lib.SQLITE_CANTOPEN, lib.SQLITE_PERM:
		return fault.New(fault.Config, "sqlite.Open", "%s or its folder cannot be written: %w", path, err).
			WithTry("give this user the right to write the folder too: the log stands beside the file")
	}
	return err
}

// prepareFile makes the folder and an empty file, so that the file's mode is ours; SQLite gives the log and its index
// the same mode. It turns what can be wrong with a path into errors that say so.
func prepareFile(path string) error {
	const op = "sqlite.Open"
	dir := filepath.Dir(path)
	if err := makeDir(dir); err != nil {
		return fault.New(fault.Config, op, "make the folder %s: %w", dir, err)
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return fault.New(fault.Config, op, "%s is a folder", path).WithTry("name a file in it")
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fault.New(fault.Config, op, "%s cannot be written: %w", path, err).WithTry("give this user the right to read and write it")
	case err != nil:
		return fault.New(fault.Config, op, "open %s: %w", path, err)
	}
	return f.Close()
}

// makeDir makes dir and what is missing above it, and syncs each folder that got an entry: a database whose folder is
// gone after a power cut has lost everything.
func makeDir(dir string) error {
	if info, err := os.Stat(dir); err == nil {
		if !info.IsDir() {
			return fmt.Errorf("%s is a file", dir)
		}
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := makeDir(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(parent)
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return nil // it may be entered but not listed; then it cannot be synced either
	}
	defer f.Close()
	_ = f.Sync() // some file systems refuse to sync a folder; they keep its entries without
	return nil
}
