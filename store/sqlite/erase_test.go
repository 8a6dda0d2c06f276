package sqlite

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/agentkernel/agentkernel/session"
)

// record makes the record after at with some bytes in it.
func record(at session.Position, data []byte) session.Record {
	life := at.Life
	if at.Len == 0 {
		life++
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%v %s", at, data))
	return session.Record{Life: life, Seq: at.Len + 1, ID: hex.EncodeToString(sum[:16]), Data: data}
}

// leftovers says which of the texts are in which files of the store in dir.
func leftovers(t *testing.T, dir string, texts ...string) (found []string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil || len(files) == 0 {
		t.Fatalf("read %s: %v, %v", dir, files, err)
	}
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range texts {
			if n := bytes.Count(b, []byte(text)); n > 0 {
				found = append(found, fmt.Sprintf("%s in %s (%d times)", text, f.Name(), n))
			}
		}
	}
	return found
}

// Rows of many sizes in a shuffled order split and merge pages, which is when copies of a row stay behind.
func TestErasedIdsAndContentAreNotInTheFiles(t *testing.T) {
	for seed, largest := range []int{60, 120, 300} {
		t.Run(fmt.Sprintf("rows up to %d bytes", largest*18), func(t *testing.T) { erasing(t, uint64(seed), largest) })
	}
}

func erasing(t *testing.T, seed uint64, largest int) {
	const sessions, rounds = 100, 3
	ctx, dir := t.Context(), t.TempDir()
	path := filepath.Join(dir, "ak.db")
	s, err := Open(ctx, path, Config{})
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(seed, 2))
	at := make([]session.Position, sessions)
	name := func(i int) session.Key {
		return session.Key{Tenant: fmt.Sprintf("tenant%03dsecret", i), ID: fmt.Sprintf("name%03dsecret", i)}
	}
	put := func(i int) error {
		data := bytes.Repeat(fmt.Appendf(nil, "content%03dsecret ", i), 1+rng.IntN(largest))
		before := at[i]
		rec := record(before, data)
		at[i] = rec.Position()
		return errors.Join(
			s.Append(ctx, name(i), before, rec, session.Attention{Owner: fmt.Sprintf("r%d", rng.IntN(9)), Due: session.Millis(1 + rng.IntN(99))}),
			s.PutSnapshot(ctx, name(i), session.Snapshot{Life: 1, Seq: rec.Seq, Data: data}),
			s.PutBlob(ctx, name(i), 1, rec.ID, data))
	}
	for range rounds {
		for _, i := range rng.Perm(sessions) {
			if err := put(i); err != nil {
				t.Fatal(err)
			}
		}
	}
	if left := leftovers(t, dir, "name007secret"); len(left) == 0 {
		t.Fatal("the test looks for the wrong thing: a living id is not found")
	}
	var gone []string
	for _, i := range rng.Perm(sessions)[:sessions/2] {
		if err := s.Erase(ctx, name(i), at[i], session.Tombstone{Until: 1 << 50, Keys: []string{"k"}}); err != nil {
			t.Fatal(err)
		}
		gone = append(gone, name(i).Tenant, name(i).ID, fmt.Sprintf("content%03dsecret", i))
	}
	for !s.clean.Load() {
		runtime.Gosched()
	}
	if left := leftovers(t, dir, gone...); len(left) > 0 {
		t.Errorf("after the scrub: %v", left)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if left := leftovers(t, dir, gone...); len(left) > 0 {
		t.Errorf("after close: %v", left)
	}
	intact(t, path)
}

// intact has SQLite check the whole file.
func intact(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", dsn(path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Errorf("integrity check: %q, %v", verdict, err)
	}
}

func TestAScrubThatWasCutShortIsDoneByTheNextProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ak.db")
	s := open(t, path, Config{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	rawSQL(t, path, "UPDATE meta SET value = 3 WHERE name = 'unscrubbed'") // as an erase leaves it
	s = open(t, path, Config{})
	for !s.clean.Load() {
		runtime.Gosched()
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	var left int
	if err := s.conns.read.QueryRowContext(t.Context(), "SELECT value FROM meta WHERE name = 'unscrubbed'").Scan(&left); err != nil || left != 0 {
		t.Errorf("%d erases are marked as not scrubbed, %v", left, err)
	}
}

func TestWritersAreServedWhileALongScrubIsUnderWay(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "ak.db"), Config{})
	rec := record(session.Position{}, make([]byte, 16<<20)) // sixteen slices
	if err := s.Append(t.Context(), session.Key{ID: "big"}, session.Position{}, rec, session.Attention{}); err != nil {
		t.Fatal(err)
	}
	if err := s.Erase(t.Context(), session.Key{ID: "unused"}, session.Position{}, session.Tombstone{Until: 1 << 50}); err != nil {
		t.Fatal(err)
	}
	served := 0
	for ; !s.clean.Load(); served++ {
		if err := s.Beat(t.Context(), session.Replica{ID: "r", Counter: uint64(served)}); err != nil {
			t.Fatal(err)
		}
	}
	if served < 4 {
		t.Errorf("only %d writes were served during the scrub of a large file", served)
	}
}

func TestUnusedSpaceIsFoundOnTreePagesOnly(t *testing.T) {
	page := func(kind byte, cells, content int, first bool) []byte {
		b := bytes.Repeat([]byte{0xee}, 4096)
		h := 0
		if first {
			h = 100
		}
		b[h], b[h+3], b[h+4], b[h+5], b[h+6] = kind, byte(cells>>8), byte(cells), byte(content>>8), byte(content)
		return b
	}
	for _, c := range []struct {
		name     string
		page     []byte
		first    bool
		from, to int
		bad      bool
	}{
		{"table leaf", page(13, 10, 3000, false), false, 28, 3000, false},
		{"index leaf", page(10, 0, 4096, false), false, 8, 4096, false},
		{"inner table page", page(5, 3, 4000, false), false, 18, 4000, false},
		{"inner index page", page(2, 3, 4000, false), false, 18, 4000, false},
		{"first page", page(13, 2, 500, true), true, 112, 500, false},
		{"overflow or free page", page(0, 10, 3000, false), false, 0, 0, false},
		{"cells above their pointers", page(13, 10, 20, false), false, 0, 0, true},
		{"cells beyond the page", page(13, 10, 5000, false), false, 0, 0, true},
		{"no page", nil, false, 0, 0, true},
	} {
		from, to, err := unused(c.page, c.first)
		if from != c.from || to != c.to || (err != nil) != c.bad {
			t.Errorf("%s: %d to %d, %v; want %d to %d", c.name, from, to, err, c.from, c.to)
		}
	}
}
