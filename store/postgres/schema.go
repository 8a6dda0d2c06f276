package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// Format is what [Store.Meta] reports of a store that this release makes.
const Format = 1

//go:embed migrations/*.sql
var migrationFiles embed.FS

// migration takes the tables from the version before to its own.
type migration struct {
	version int
	name    string
	sql     string
}

// migrations are in the order of their versions, which count from 1 without a gap.
var migrations = mustMigrations(migrationFiles)

func mustMigrations(files fs.FS) (all []migration) {
	names, err := fs.Glob(files, "migrations/*.sql") // sorted
	if err != nil {
		panic(err)
	}
	for i, path := range names {
		number, name, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(path, "migrations/"), ".sql"), "_")
		version, err := strconv.Atoi(number)
		if err != nil || version != i+1 {
			panic("postgres: " + path + " is not migration " + strconv.Itoa(i+1))
		}
		sql, err := fs.ReadFile(files, path)
		if err != nil {
			panic(err)
		}
		all = append(all, migration{version, name, string(sql)})
	}
	return all
}

// prepare looks at the schema before the first use, and makes or upgrades it. Callers wait for the one that does it; when
// it fails, the next caller tries again.
func (s *Store) prepare(ctx context.Context) error {
	if s.ready.Load() {
		return nil
	}
	select {
	case s.preparing <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.preparing }()
	if s.ready.Load() {
		return nil
	}
	_, err := s.migrate(ctx)
	s.ready.Store(err == nil)
	return err
}

// Init makes the schema, or upgrades it, and says what it did; see session.Initializer.
func (s *Store) Init(ctx context.Context) ([]string, error) {
	const op = "postgres.Init"
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return nil, classify(ctx, op, err)
	}
	defer leave()
	done, err := s.migrate(ctx)
	if err != nil {
		return done, classify(ctx, op, err)
	}
	s.ready.Store(true)
	return done, nil
}

// migrate brings the schema to this release's version and checks what the store was made with.
func (s *Store) migrate(ctx context.Context) (done []string, err error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Release()
	version, err := s.version(ctx, conn)
	if err != nil {
		return nil, err
	}
	for _, m := range migrations[min(version, len(migrations)):] {
		did, err := s.apply(ctx, conn, m)
		if err != nil {
			return done, err
		}
		done = append(done, did...)
	}
	meta, err := s.meta(ctx, conn)
	if err == nil {
		err = meta.Check(session.Meta{Format: Format, Buckets: 1})
	}
	return done, err
}

// queryer is a connection or a transaction.
type queryer interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// version is the newest migration that was applied, 0 for none. One that this release does not know is an error: tables
// that it cannot read may be behind it.
func (s *Store) version(ctx context.Context, q queryer) (version int, err error) {
	table := pgx.Identifier{s.cfg.Schema, "migrations"}.Sanitize()
	var there bool
	if err := q.QueryRow(ctx, "SELECT to_regclass($1::text) IS NOT NULL", table).Scan(&there); err != nil || !there {
		return 0, err
	}
	if err := q.QueryRow(ctx, "SELECT coalesce(max(version), 0) FROM "+table).Scan(&version); err != nil {
		return 0, err
	}
	if version > len(migrations) {
		return 0, fault.New(fault.Unreadable, "", "the store has schema version %d, this release knows up to %d", version, len(migrations)).
			WithTry("use the newer release that made it")
	}
	return version, nil
}

// apply runs one migration, unless another process was faster: all of them take turns by a lock of the database.
func (s *Store) apply(ctx context.Context, conn *pgxpool.Conn, m migration) (done []string, err error) {
	lock := s.lockOf(session.Key{Tenant: "/", ID: "migrations"}) // no session has this key
	begin := fmt.Sprintf("BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock(%d)", lock)
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{BeginQuery: begin})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = tx.Rollback(context.WithoutCancel(ctx)) // the connection goes with it if need be
		}
	}()
	schema := pgx.Identifier{s.cfg.Schema}.Sanitize()
	var there bool
	if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = $1)", s.cfg.Schema).Scan(&there); err != nil {
		return nil, err
	}
	if !there { // asked first: IF NOT EXISTS wants the right to make it even when it is there
		if _, err := tx.Exec(ctx, "CREATE SCHEMA "+schema); err != nil {
			return nil, err
		}
		done = append(done, fmt.Sprintf("made the schema %s", s.cfg.Schema))
	}
	const table = `CREATE TABLE IF NOT EXISTS %s.migrations (
		version integer PRIMARY KEY, name text NOT NULL, applied timestamptz NOT NULL DEFAULT now())`
	if _, err := tx.Exec(ctx, fmt.Sprintf(table, schema)); err != nil {
		return nil, err
	}
	version, err := s.version(ctx, tx)
	if err != nil {
		return nil, err
	}
	if version >= m.version {
		return nil, tx.Commit(ctx)
	}
	if _, err := tx.Exec(ctx, strings.ReplaceAll(m.sql, "{s}", schema)); err != nil {
		return nil, err
	}
	if _, err := tx.Exec(ctx, "INSERT INTO "+schema+".migrations (version, name) VALUES ($1, $2)", m.version, m.name); err != nil {
		return nil, err
	}
	if err := tx.Commit(ctx); err != nil {
		return nil, err
	}
	return append(done, fmt.Sprintf("applied migration %d (%s)", m.version, m.name)), nil
}

func (s *Store) meta(ctx context.Context, q queryer) (m session.Meta, err error) {
	var generation int64
	err = q.QueryRow(ctx, s.sql[stMeta]).Scan(&m.Format, &generation, &m.Buckets, &m.Prefix)
	if errors.Is(err, pgx.ErrNoRows) {
		return m, fault.New(fault.Corrupt, "", "the store does not say its format, generation and number of buckets").WithTry("restore a backup")
	}
	m.Generation = uint64(generation)
	return m, err
}

// Meta returns what was fixed when the schema was made, and the generation. The agenda is not divided, and a schema
// needs no prefix.
func (s *Store) Meta(ctx context.Context) (m session.Meta, err error) {
	const op = "postgres.Meta"
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return m, classify(ctx, op, err)
	}
	defer leave()
	conn, err := s.take(ctx)
	if err != nil {
		return m, classify(ctx, op, err)
	}
	defer conn.Release()
	if m, err = s.meta(ctx, conn); err != nil {
		return session.Meta{}, classify(ctx, op, err)
	}
	return m, nil
}

// RaiseGeneration tells every replica to stop; see session.Directory.
func (s *Store) RaiseGeneration(ctx context.Context) error {
	_, err := s.exec(ctx, "postgres.RaiseGeneration", stRaise)
	return err
}
