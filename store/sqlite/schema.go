package sqlite

import (
	"context"
	"database/sql"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

const (
	// Schema is the version of the tables that this release makes and reads.
	Schema = 2
	// Format is what [Store.Meta] reports of a store that this release makes.
	Format = 1
	// applicationID marks the file's header ("agk1"), so that tools can name it and nothing else is taken for it.
	applicationID = 0x61676b31
)

// The tables have rowids: without, the file grows threefold under load, because whole records stand in the inner pages
// of the tree. A session's life stands in its row; records and the snapshot belong to that life, for an erase deletes
// them with it. Blobs name the session by its id, because a blob may come before the session's first record.
var tables = []string{
	`CREATE TABLE meta (name TEXT NOT NULL UNIQUE, value INTEGER NOT NULL)`,
	`CREATE TABLE sessions (
		sid INTEGER PRIMARY KEY,
		tenant TEXT NOT NULL, id TEXT NOT NULL,
		life INTEGER NOT NULL, len INTEGER NOT NULL, last_id TEXT NOT NULL,
		owner TEXT NOT NULL, epoch INTEGER NOT NULL, due INTEGER NOT NULL, expiry INTEGER NOT NULL,
		updated INTEGER NOT NULL,
		UNIQUE (tenant, id))`,
	`CREATE INDEX agenda ON sessions (owner, due) WHERE due <> 0`,
	`CREATE TABLE records (
		sid INTEGER NOT NULL, seq INTEGER NOT NULL, id TEXT NOT NULL, data BLOB NOT NULL,
		UNIQUE (sid, seq))`,
	`CREATE TABLE snapshots (sid INTEGER PRIMARY KEY, seq INTEGER NOT NULL, data BLOB NOT NULL)`,
	blobTables[0],
	blobTables[1],
	`CREATE TABLE tombstones (
		hash BLOB NOT NULL UNIQUE, life INTEGER NOT NULL, until INTEGER NOT NULL, keys TEXT NOT NULL)`,
	`CREATE INDEX tombstones_until ON tombstones (until)`,
	`CREATE TABLE replicas (id TEXT NOT NULL UNIQUE, counter INTEGER NOT NULL, info BLOB)`,
	`CREATE TABLE hints (name TEXT NOT NULL UNIQUE, value BLOB, until INTEGER NOT NULL)`,
}

// A blob stands in parts: a row of many megabytes would have to be written, and kept in memory, as one.
var blobTables = [...]string{
	`CREATE TABLE blobs (
		bid INTEGER PRIMARY KEY,
		tenant TEXT NOT NULL, id TEXT NOT NULL, life INTEGER NOT NULL, digest TEXT NOT NULL,
		size INTEGER NOT NULL, written INTEGER NOT NULL,
		UNIQUE (tenant, id, life, digest))`,
	`CREATE TABLE blob_parts (bid INTEGER NOT NULL, part INTEGER NOT NULL, data BLOB NOT NULL, UNIQUE (bid, part))`,
}

// initialise makes the tables of an empty file, or checks that the file is one of ours that this release can use. It
// holds the write lock meanwhile, so two processes that start on a new file do not both make them.
func initialise(w *sql.Conn, mayCreate bool) (err error) {
	ctx := context.Background()
	var mode string
	if err := w.QueryRowContext(ctx, "PRAGMA journal_mode(WAL)").Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return fault.New(fault.Config, "", "the database cannot use a write-ahead log here (its journal mode is %q)", mode).
			WithTry("put the file on a local disk")
	}
	if _, err := w.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_, _ = w.ExecContext(ctx, "ROLLBACK")
		}
	}()
	var app, objects int
	if err = w.QueryRowContext(ctx, "PRAGMA application_id").Scan(&app); err != nil {
		return err
	}
	if err = w.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&objects); err != nil {
		return err
	}
	switch {
	case app == applicationID:
		err = verify(ctx, w)
	case objects == 0 && mayCreate:
		err = create(ctx, w)
	case objects == 0:
		err = fault.New(fault.Corrupt, "", "the store is gone: its file is empty now").WithTry("stop, and restore a backup")
	default:
		err = fault.New(fault.Config, "", "the file is a database of another program").WithTry("name another file")
	}
	if err != nil {
		return err
	}
	_, err = w.ExecContext(ctx, "COMMIT")
	return err
}

func create(ctx context.Context, w *sql.Conn) error {
	for _, ddl := range tables {
		if _, err := w.ExecContext(ctx, ddl); err != nil {
			return err
		}
	}
	const meta = "INSERT INTO meta (name, value) VALUES ('schema', ?), ('format', ?), ('generation', 1), ('unscrubbed', 0)"
	if _, err := w.ExecContext(ctx, meta, Schema, Format); err != nil {
		return err
	}
	_, err := w.ExecContext(ctx, "PRAGMA application_id(0x61676b31)")
	return err
}

func verify(ctx context.Context, w *sql.Conn) error {
	m, err := readMeta(ctx, w)
	if err != nil {
		return err
	}
	if m["schema"] > Schema {
		return fault.New(fault.Unreadable, "", "the store has schema %d and format %d; this release knows up to %d and %d",
			m["schema"], m["format"], Schema, Format).WithTry("use the newer release that made it")
	}
	if m["schema"] < 1 {
		return fault.New(fault.Corrupt, "", "the store does not say its schema, format and generation")
	}
	if err := metaOf(m).Check(session.Meta{Format: Format, Buckets: 1}); err != nil {
		return err
	}
	return upgrade(ctx, w, m["schema"])
}

// upgrade takes the tables to this release's schema. Schema 1 had other tables for blobs, which nothing was ever put in.
func upgrade(ctx context.Context, w *sql.Conn, from int64) error {
	if from == Schema {
		return nil
	}
	for _, q := range append([]string{"DROP TABLE blobs"}, blobTables[:]...) {
		if _, err := w.ExecContext(ctx, q); err != nil {
			return err
		}
	}
	_, err := w.ExecContext(ctx, "UPDATE meta SET value = ? WHERE name = 'schema'", Schema)
	return err
}

func metaOf(m map[string]int64) session.Meta {
	return session.Meta{Format: int(m["format"]), Generation: uint64(m["generation"]), Buckets: 1}
}

// queryer is a connection, a pool or a transaction.
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func readMeta(ctx context.Context, q queryer) (map[string]int64, error) {
	rows, err := q.QueryContext(ctx, "SELECT name, value FROM meta")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	m := map[string]int64{}
	for rows.Next() {
		var name string
		var value int64
		if err := rows.Scan(&name, &value); err != nil {
			return nil, err
		}
		m[name] = value
	}
	return m, rows.Err()
}

// Meta returns what was fixed when the file was made, and the generation. The agenda is not divided, and a file needs no
// prefix.
func (s *Store) Meta(ctx context.Context) (out session.Meta, err error) {
	err = s.view(ctx, "sqlite.Meta", func(r *reader) error {
		m, err := readMeta(ctx, r.tx)
		out = metaOf(m)
		return err
	})
	return out, err
}

// RaiseGeneration tells every replica to stop; see session.Directory.
func (s *Store) RaiseGeneration(ctx context.Context) error {
	return s.write(ctx, "sqlite.RaiseGeneration", func(c *conns) error {
		_, err := c.exec("UPDATE meta SET value = value + 1 WHERE name = 'generation'")
		return err
	})
}
