package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	driver "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

var errClosed = errors.New("the store is closed")

// code is SQLite's primary result code of err, 0 when it has none.
func code(err error) int {
	var e *driver.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}

func isBusy(err error) bool {
	c := code(err)
	return c == lib.SQLITE_BUSY || c == lib.SQLITE_LOCKED
}

// isBroken reports that the connection that returned err must not be used again.
func isBroken(err error) bool {
	switch code(err) {
	case lib.SQLITE_IOERR, lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB, lib.SQLITE_CANTOPEN, lib.SQLITE_PROTOCOL,
		lib.SQLITE_NOMEM, lib.SQLITE_INTERNAL, lib.SQLITE_MISUSE, lib.SQLITE_SCHEMA:
		return true
	}
	return errors.Is(err, sql.ErrConnDone)
}

// classify gives err a kind and advice.
func classify(op string, err error) *fault.Error {
	var e *fault.Error
	if errors.As(err, &e) {
		c := *e
		c.Op = op
		return &c
	}
	out := &fault.Error{Op: op, Kind: fault.Unavailable, Err: err}
	switch code(err) {
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED:
		out.Msg = "another process holds the database: " + err.Error()
	case lib.SQLITE_FULL:
		out.Try = "free some disk space"
	case lib.SQLITE_READONLY, lib.SQLITE_PERM, lib.SQLITE_AUTH:
		out.Try = "make the database file and its folder writable"
	case lib.SQLITE_CORRUPT:
		out.Kind = fault.Corrupt
		out.Try = "stop, keep a copy of the files, restore a backup"
	case lib.SQLITE_NOTADB:
		out.Kind = fault.Config
		out.Msg = "the file is not a database: " + err.Error()
	case lib.SQLITE_TOOBIG:
		out.Kind = fault.TooLarge
	case 0:
		if k := fault.KindOf(err); k != fault.Unknown {
			out.Kind = k // the context ended
		}
	case lib.SQLITE_INTERRUPT:
		out.Kind = fault.Cancelled
	}
	return out
}

// notSent is the error of a write of which nothing was or will be written.
func notSent(op string, err error) error {
	e := classify(op, err)
	e.Err = fmt.Errorf("%w: %w", session.ErrNotSent, err)
	return e
}

// unknown is the error of a write that may have been done.
func unknown(op string, err error) error {
	return &fault.Error{Op: op, Kind: fault.OutcomeUnknown, Err: err}
}

// readErr is the error of a read. When the context has ended it says so, whatever SQLite made of the interruption.
func readErr(ctx context.Context, op string, err error) error {
	if cause := ctx.Err(); cause != nil && !errors.Is(err, cause) {
		return &fault.Error{Op: op, Kind: fault.KindOf(cause), Err: fmt.Errorf("%w (%v)", cause, err)}
	}
	return classify(op, err)
}

var errConflict = &fault.Error{Kind: fault.Conflict, Err: session.ErrConflict}

func noValue(op string) error {
	return &fault.Error{Op: op, Kind: fault.NotFound, Err: session.ErrNoValue}
}
