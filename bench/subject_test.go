package bench

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"path/filepath"
	"testing"

	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/store/sqlite"
)

// recordSize is what one record of a short turn takes, in bytes.
const recordSize = 1024

// subject is a store with its server, made for one test.
type subject struct {
	open func(context.Context) (session.Store, error) // a new handle
	raw  func(ctx context.Context, writer, n int, data []byte) error
	// relayed is a handle through a relay that counts what goes to the server; nil where there is none.
	relayed func(testing.TB) (session.Store, *relay, error)
}

// kind is a store that is measured.
type kind struct {
	name string
	raw  string // what its raw write is
	make func(testing.TB) subject
}

// kinds are all of them, in the order of the table.
var kinds = []kind{
	{"sqlite", "INSERT in a transaction", makeSQLite},
}

func makeSQLite(tb testing.TB) subject {
	tb.Helper()
	dir := tb.TempDir()
	db, err := sql.Open("sqlite", filepath.Join(dir, "raw.db")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_txlock=immediate")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(1) // SQLite has one writer at a time
	if _, err := db.ExecContext(tb.Context(), "CREATE TABLE records (sid INTEGER, seq INTEGER, data BLOB, UNIQUE (sid, seq))"); err != nil {
		tb.Fatal(err)
	}
	insert, err := db.PrepareContext(tb.Context(), "INSERT INTO records VALUES (?, ?, ?)")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = insert.Close() })
	return subject{
		open: func(ctx context.Context) (session.Store, error) {
			return sqlite.Open(ctx, filepath.Join(dir, "ak.db"), sqlite.Config{})
		},
		raw: func(ctx context.Context, writer, n int, data []byte) error {
			_, err := insert.ExecContext(ctx, writer, n, data)
			return err
		},
	}
}

// handle is a handle on the subject that lives as long as the test.
func (s subject) handle(tb testing.TB) session.Store {
	tb.Helper()
	store, err := s.open(context.Background())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = store.Close() })
	return store
}

// record is one of recordSize bytes that fits behind at.
func record(at session.Position, data []byte) session.Record {
	sum := sha256.Sum256(append([]byte(at.LastID), data...))
	return session.Record{Life: max(at.Life, 1), Seq: at.Len + 1, ID: hex.EncodeToString(sum[:16]), Data: data}
}
