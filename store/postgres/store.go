package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// Store keeps sessions in a PostgreSQL database. Make one with [Open].
type Store struct {
	cfg     Config
	conn    *pgx.ConnConfig // for the two connections beside the pool
	pool    *pgxpool.Pool
	sql     [numStatements]string
	channel string // of NOTIFY
	self    string // tells our notifications from others'

	life    context.Context // ends with Close
	end     context.CancelCauseFunc
	closing sync.Once
	work    sync.WaitGroup // the goroutines of hints

	ready     atomic.Bool   // the schema was looked at
	preparing chan struct{} // has room for the one that looks at it

	cleaned atomic.Int64 // when what had ended was last deleted, in ms of our clock
	news    news
	watch   watch
}

var (
	_ session.Store       = (*Store)(nil)
	_ session.Watcher     = (*Store)(nil)
	_ session.Initializer = (*Store)(nil)
	_ session.Examiner    = (*Store)(nil)
)

// Durability declares that a commit is on the disk before it is answered, and what a failover costs, by
// Config.Standby.
func (s *Store) Durability() session.Durability {
	d := session.Durability{
		Store: "postgres", Level: "synchronous_commit=on",
		ProcessCrash:  session.Exposure{Loses: session.LosesNothing, Shown: "TestAKilledServerLosesNothingThatWasAcknowledged"},
		MachineCrash:  session.Exposure{Loses: session.LosesNothing, Shown: "TestEveryConnectionWaitsForTheDisk"},
		Failover:      session.Exposure{Loses: session.CannotHappen},
		DiskLoss:      session.Exposure{Loses: session.LosesAll},
		ZoneLoss:      session.Exposure{Loses: session.LosesAll},
		OperatorError: session.Exposure{Loses: session.NotCovered},
		Note:          "holds with fsync and full_page_writes on, and if the disk keeps what it said it synced; whoever puts a standby in the server's place has to say so in the configuration",
		AppendWrites:  1, // one statement, which is its own transaction
	}
	switch s.cfg.Standby {
	case SyncStandby:
		d.Level = "synchronous_commit=on, standby=sync"
		d.Failover = session.Exposure{Loses: session.LosesNothing, Shown: "declared by PostgreSQL for synchronous_standby_names, which ak doctor looks at; or by the service that replicates below it"}
		d.DiskLoss = session.Exposure{Loses: session.LosesNothing, Shown: "the same: the standby has it all"}
		d.Note = "holds with fsync and full_page_writes on, while a standby that commits wait for is the one that takes over; a zone is survived if that standby is in another one"
	case AsyncStandby:
		d.Level = "synchronous_commit=on, standby=async"
		d.Failover = session.Exposure{Loses: session.LosesRecent}
		d.DiskLoss = session.Exposure{Loses: session.LosesRecent}
		d.Note = "holds with fsync and full_page_writes on; a failover loses what the standby had not received"
	}
	return d
}

// closeTime bounds how long Close waits for connections to servers that do not answer.
const closeTime = 3 * time.Second

// Close ends the calls that are under way and closes the connections. A write that it overtakes may have been done. A
// second Close does nothing.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.end(errClosed)
		s.watch.stop()
		s.news.stop()
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.work.Wait()
			s.pool.Close()
		}()
		late := time.NewTimer(closeTime)
		defer late.Stop()
		select {
		case <-done:
		case <-late.C: // the rest closes by itself when its time is over
		}
	})
	return nil
}

// enter joins a call's context with the store's life. The caller calls leave when it has done with the connection.
func (s *Store) enter(ctx context.Context) (joined context.Context, leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return ctx, nil, err
	}
	if s.life.Err() != nil {
		return ctx, nil, errClosed
	}
	joined, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.life, func() { cancel(errClosed) })
	return joined, func() { stop(); cancel(nil) }, nil
}

// take is a connection of the pool to a store that was looked at.
func (s *Store) take(ctx context.Context) (*pgxpool.Conn, error) {
	if err := s.prepare(ctx); err != nil {
		return nil, err
	}
	return s.pool.Acquire(ctx)
}

// prepared sees to it that running a statement is one round trip, and that a failure of it is the statement's and not
// that of preparing it.
func (s *Store) prepared(ctx context.Context, conn *pgx.Conn, stmt int) (string, error) {
	sql := s.sql[stmt]
	if conn.Config().DefaultQueryExecMode != pgx.QueryExecModeCacheStatement {
		return sql, nil // the URL says that a pooler does not keep statements
	}
	_, err := conn.Prepare(ctx, sql, sql)
	return sql, err
}

// failed throws the pool's connections away when they are likely to fail too: each would otherwise cost a write whose
// outcome nobody knows.
func (s *Store) failed(ctx context.Context, err error) {
	if ctx.Err() == nil && stale(err) {
		s.pool.Reset()
	}
}

// exec runs one statement that is its own transaction and returns how many rows it wrote.
func (s *Store) exec(ctx context.Context, op string, stmt int, args ...any) (rows int64, err error) {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return 0, notSent(ctx, op, err)
	}
	defer leave()
	conn, err := s.take(ctx)
	if err != nil {
		return 0, notSent(ctx, op, err)
	}
	defer conn.Release()
	sql, err := s.prepared(ctx, conn.Conn(), stmt)
	if err != nil {
		s.failed(ctx, err)
		return 0, notSent(ctx, op, err)
	}
	if err := sendable(ctx, conn.Conn()); err != nil {
		return 0, notSent(ctx, op, err)
	}
	tag, err := conn.Exec(ctx, sql, args...)
	if err != nil {
		s.failed(ctx, err)
		return 0, writeErr(ctx, op, err)
	}
	if err := alone(conn.Conn()); err != nil {
		return 0, unknown(ctx, op, err)
	}
	return tag.RowsAffected(), nil
}

// sendable reports why a statement would not be sent. Behind it only the server's own word says that nothing was
// written.
func sendable(ctx context.Context, conn *pgx.Conn) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if conn.IsClosed() {
		return pgconn.ErrConnClosed
	}
	return nil
}

// locked is a transaction that holds the lock of a key: shared by those that add to a session beside its journal, alone
// for the one that erases it. Nothing was written when it fails before its commit.
func (s *Store) locked(ctx context.Context, op string, key session.Key, alone bool, f func(*change) error) error {
	lock := "pg_advisory_xact_lock_shared"
	if alone {
		lock = "pg_advisory_xact_lock"
	}
	return s.tx(ctx, op, fmt.Sprintf("BEGIN ISOLATION LEVEL READ COMMITTED; SELECT %s(%d)", lock, s.lockOf(key)), f)
}

// lockOf is the number of a key's lock. Two keys that share one wait for each other now and then.
func (s *Store) lockOf(key session.Key) int64 {
	sum := sha256.Sum256([]byte(s.channel + "/" + key.String()))
	return int64(binary.BigEndian.Uint64(sum[:]))
}

// change is a transaction under way.
type change struct {
	s   *Store
	ctx context.Context
	tx  pgx.Tx
}

// exec runs one statement of the transaction.
func (c *change) exec(stmt int, args ...any) (int64, error) {
	tag, err := c.tx.Exec(c.ctx, c.s.sql[stmt], args...)
	return tag.RowsAffected(), err
}

// row reads one row; found is false when there is none.
func (c *change) row(stmt int, args []any, into ...any) (found bool, err error) {
	err = c.tx.QueryRow(c.ctx, c.s.sql[stmt], args...).Scan(into...)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

func (s *Store) tx(ctx context.Context, op, begin string, f func(*change) error) error {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return notSent(ctx, op, err)
	}
	defer leave()
	conn, err := s.take(ctx)
	if err != nil {
		return notSent(ctx, op, err)
	}
	defer conn.Release() // closes the connection when the transaction is still open
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{BeginQuery: begin})
	if err != nil {
		s.failed(ctx, err)
		return notSent(ctx, op, err)
	}
	err = f(&change{s, ctx, tx})
	if err == nil {
		err = sendable(ctx, conn.Conn())
	}
	if err != nil {
		rollCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = tx.Rollback(rollCtx) // a connection on which it fails is closed, which rolls back too
		if errors.Is(err, session.ErrConflict) {
			return conflict(op)
		}
		s.failed(ctx, err)
		return notSent(ctx, op, err)
	}
	if err := tx.Commit(ctx); err != nil {
		s.failed(ctx, err)
		return writeErr(ctx, op, err)
	}
	if err := alone(conn.Conn()); err != nil {
		return unknown(ctx, op, err)
	}
	return nil
}

// query runs a statement that reads, in one snapshot, and calls scan for each row.
func (s *Store) query(ctx context.Context, op string, stmt int, args []any, scan func(pgx.Rows) error) error {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return classify(ctx, op, err)
	}
	defer leave()
	conn, err := s.take(ctx)
	if err != nil {
		return classify(ctx, op, err)
	}
	defer conn.Release()
	if err := s.rows(ctx, conn, stmt, args, scan); err != nil {
		var f *fault.Error
		if !errors.As(err, &f) {
			s.failed(ctx, err)
		}
		return classify(ctx, op, err)
	}
	return nil
}

func (s *Store) rows(ctx context.Context, conn *pgxpool.Conn, stmt int, args []any, scan func(pgx.Rows) error) error {
	sql, err := s.prepared(ctx, conn.Conn(), stmt)
	if err != nil {
		return err
	}
	rows, err := conn.Query(ctx, sql, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// notReplicated is where a connection keeps that the server gave up waiting for its standbys.
const notReplicated = "agentkernel: not replicated"

// onNotice sees the warning with which the server answers a commit that it did not wait for to the end: it succeeds, but
// only here. The warning has no code of its own and its text follows the server's language, so it is known by the file
// of the server's source that it comes from.
func onNotice(c *pgconn.PgConn, n *pgconn.Notice) {
	if n.File == "syncrep.c" {
		c.CustomData()[notReplicated] = n.Message
	}
}

// alone reports that the last commit on a connection may be on this server alone.
func alone(conn *pgx.Conn) error {
	data := conn.PgConn().CustomData()
	text, ok := data[notReplicated]
	if !ok {
		return nil
	}
	delete(data, notReplicated)
	return fmt.Errorf("the server has it, its standbys may not: %v", text)
}

// hashOf is the name of a session's row; the prefix keeps it apart from other hashes of the id.
func hashOf(key session.Key) []byte {
	sum := sha256.Sum256([]byte("agentkernel/session/" + key.String()))
	return sum[:]
}
