package main

import (
	"os"
	"path/filepath"

	"github.com/agentkernel/agentkernel/fault"
)

// disk is what the system says about the place of a file.
type disk struct {
	network string // the kind of network file system, if it is one
	unsure  string // the kind, if it may be one
	free    uint64 // bytes that this user can still write
}

// existing is the path, or the nearest folder above it that is there.
func existing(path string) string {
	path, err := filepath.Abs(path)
	for err == nil {
		if _, serr := os.Stat(path); serr == nil || filepath.Dir(path) == path {
			return path
		}
		path = filepath.Dir(path)
	}
	return "."
}

// localOnly refuses a database file on a network file system: its locks do not hold there, and two processes can corrupt
// it. What cannot be asked is let through.
func localOnly(path string, look func(string) (disk, error)) error {
	d, err := look(existing(path))
	if err != nil || d.network == "" {
		return nil
	}
	return fault.New(fault.Config, "", "session.sqlite.path %s is on a network file system (%s), where SQLite's locks do not hold: two processes could corrupt it", path, d.network).
		WithTry("name a file on a local disk")
}
