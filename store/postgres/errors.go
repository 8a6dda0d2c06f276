package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

var errClosed = errors.New("the store is closed")

// SQLSTATE codes that something follows from.
const (
	readOnly       = "25006" // the server is a standby now
	noStatement    = "26000" // a pooler gave us another connection than the one that prepared the statement
	noTable        = "42P01"
	noSchema       = "3F000"
	noPrivilege    = "42501"
	noDatabase     = "3D000"
	unknownOutcome = "40003"
)

// answered returns what the server said, or nil when the connection failed instead.
func answered(err error) *pgconn.PgError {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e
	}
	return nil
}

// isError reports that e ended a statement and not the connection.
func isError(e *pgconn.PgError) bool {
	if e.SeverityUnlocalized != "" {
		return e.SeverityUnlocalized == "ERROR"
	}
	return e.Severity == "ERROR"
}

// refused reports that nothing was written by a statement that was run and ended in err, and nothing will be: the server
// rolled it back and said so. What comes from a pooler about its own connection (class 08) and what was interrupted
// (class 57) does not tell: the commit may have been done just before. Nor does pgconn.SafeToRetry: it is true for a
// COMMIT whose connection was lost after it was sent.
func refused(err error) bool {
	if errors.Is(err, pgx.ErrTxCommitRollback) {
		return true
	}
	e := answered(err)
	return e != nil && isError(e) && e.Code != unknownOutcome && !strings.HasPrefix(e.Code, "08") && !strings.HasPrefix(e.Code, "57")
}

// stale reports that other connections are likely to be as useless as the one that failed with err: the server went
// away, or is no primary any more.
func stale(err error) bool {
	e := answered(err)
	return e == nil || !isError(e) || e.Code == readOnly || e.Code == noStatement
}

// scrub is what err says, without what it holds: pgx keeps the configuration, with its password, in errors.
func scrub(err error) error {
	text := strings.ReplaceAll(err.Error(), "\n\t", " ")
	return errors.New(strings.ReplaceAll(text, "\n", "; "))
}

// cause is why a call failed with err: because the store was closed, because the caller's context ended, or err.
func cause(ctx context.Context, err error) error {
	var f *fault.Error
	switch {
	case errors.As(err, &f), errors.Is(err, errClosed):
		return err
	case ctx.Err() != nil && errors.Is(context.Cause(ctx), errClosed):
		return errClosed
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return ctx.Err()
	case ctx.Err() != nil:
		return fmt.Errorf("%w (%s)", ctx.Err(), scrub(err))
	}
	return scrub(err)
}

// classify gives err a kind and advice.
func classify(ctx context.Context, op string, err error) *fault.Error {
	var f *fault.Error
	if errors.As(err, &f) {
		c := *f
		c.Op = op
		return &c
	}
	why := cause(ctx, err)
	out := &fault.Error{Op: op, Kind: fault.Unavailable, Err: why}
	if k := fault.KindOf(why); k != fault.Unknown {
		out.Kind = k // the context ended
		return out
	}
	e := answered(err)
	if e == nil {
		return out
	}
	switch {
	case e.Code == noTable, e.Code == noSchema:
		out.Kind = fault.Corrupt
		out.Msg = "the store's tables are gone: " + why.Error()
		out.Try = "restore a backup, or start again to begin with an empty store"
	case e.Code == noPrivilege:
		out.Kind = fault.Config
		out.Try = "give the role its rights, or run ak store init as a role that may make the schema"
	case e.Code == noDatabase, strings.HasPrefix(e.Code, "28"):
		out.Try = "check the database, user and password of the URL, and pg_hba.conf"
	case e.Code == readOnly:
		out.Msg = "this server takes no writes: " + why.Error()
		out.Try = "name all servers in the URL, or an address that follows the primary"
	case e.Code == noStatement:
		out.Try = "use a pooler in session mode, or one that keeps prepared statements, or default_query_exec_mode=exec in the URL"
	case strings.HasPrefix(e.Code, "53"):
		out.Try = "free disk space, or allow more connections"
	case strings.HasPrefix(e.Code, "XX"):
		out.Kind = fault.Corrupt
		out.Try = serverErrorHint
	case strings.HasPrefix(e.Code, "54"):
		out.Kind = fault.TooLarge
	}
	return out
}

// notSent is the error of a write of which nothing was or will be written.
func notSent(ctx context.Context, op string, err error) error {
	e := classify(ctx, op, err)
	e.Err = fmt.Errorf("%w: %w", session.ErrNotSent, cause(ctx, err))
	return e
}

// unknown is the error of a write that may have been done.
func unknown(ctx context.Context, op string, err error) error {
	return &fault.Error{Op: op, Kind: fault.OutcomeUnknown, Err: cause(ctx, err)}
}

// writeErr is the error of a write whose last statement ended in err.
func writeErr(ctx context.Context, op string, err error) error {
	if refused(err) {
		return notSent(ctx, op, err)
	}
	return unknown(ctx, op, err)
}

func conflict(op string) error {
	return &fault.Error{Op: op, Kind: fault.Conflict, Err: session.ErrConflict}
}

func noValue(op string) error {
	return &fault.Error{Op: op, Kind: fault.NotFound, Err: session.ErrNoValue}
}
