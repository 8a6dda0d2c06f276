package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/agentkernel/agentkernel/session"
)

// The three benchmarks belong together: what the store adds to a bare transaction, and what that adds to a bare sync.

func perSecond(b *testing.B) { b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s") }

func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			s := open(b, filepath.Join(b.TempDir(), "ak.db"), Config{})
			data := make([]byte, 1024)
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for w := range writers {
				share := b.N / writers
				if w < b.N%writers {
					share++
				}
				wg.Go(func() {
					key := session.Key{ID: fmt.Sprintf("writer-%d", w)}
					var at session.Position
					for range share {
						rec := record(at, data)
						if err := s.Append(context.Background(), key, at, rec, session.Attention{Owner: "r", Epoch: 1, Due: 1}); err != nil {
							b.Error(err)
							return
						}
						at = rec.Position()
					}
				})
			}
			wg.Wait()
			perSecond(b)
		})
	}
}

func BenchmarkRawTransaction(b *testing.B) {
	db, err := sql.Open("sqlite", filepath.Join(b.TempDir(), "raw.db")+"?_journal_mode=WAL&_synchronous=FULL")
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	conn, err := db.Conn(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(b.Context(), "CREATE TABLE records (sid INTEGER, seq INTEGER, data BLOB, UNIQUE (sid, seq))"); err != nil {
		b.Fatal(err)
	}
	var statements []*sql.Stmt
	for _, q := range []string{"BEGIN IMMEDIATE", "INSERT INTO records VALUES (1, ?, ?)", "COMMIT"} {
		st, err := conn.PrepareContext(b.Context(), q)
		if err != nil {
			b.Fatal(err)
		}
		defer st.Close()
		statements = append(statements, st)
	}
	data, n := make([]byte, 1024), 0
	b.ReportAllocs()
	for b.Loop() {
		for i, args := range [][]any{nil, {n, data}, nil} {
			if _, err := statements[i].Exec(args...); err != nil {
				b.Fatal(err)
			}
		}
		n++
	}
	perSecond(b)
}

func BenchmarkRawSync(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "raw"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	page := make([]byte, 4096)
	for b.Loop() {
		if _, err := f.Write(page); err != nil {
			b.Fatal(err)
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			b.Fatal(err)
		}
	}
	perSecond(b)
}

func BenchmarkRead(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "ak.db"), Config{})
	var at session.Position
	for range 100 {
		rec := record(at, make([]byte, 1024))
		if err := s.Append(b.Context(), session.Key{ID: "a"}, at, rec, session.Attention{}); err != nil {
			b.Fatal(err)
		}
		at = rec.Position()
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, records, err := s.Read(context.Background(), session.Key{ID: "a"}, at.Len-10, 0); err != nil || len(records) != 10 {
			b.Fatal(len(records), err)
		}
	}
}
