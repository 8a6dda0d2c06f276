package sqlite

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
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

// leftovers names the files of the store in dir that contain text.
func leftovers(t *testing.T, dir, text string) (found []string) {
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
		if n := bytes.Count(b, []byte(text)); n > 0 {
			found = append(found, fmt.Sprintf("%s (%d times)", f.Name(), n))
		}
	}
	return found
}

func TestErasedIdsAndContentAreNotInTheFiles(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s, err := Open(ctx, filepath.Join(dir, "ak.db"), Config{})
	if err != nil {
		t.Fatal(err)
	}
	const sessions, rounds = 120, 5
	rng := rand.New(rand.NewPCG(1, 2))
	at := make([]session.Position, sessions)
	name := func(i int) session.Key {
		return session.Key{Tenant: fmt.Sprintf("tenant%03dsecret", i), ID: fmt.Sprintf("name%03dsecret", i)}
	}
	// Rows of many sizes in a shuffled order split and merge pages, which is when copies of a row could stay behind.
	for range rounds {
		for _, i := range rng.Perm(sessions) {
			data := bytes.Repeat(fmt.Appendf(nil, "content%03dsecret ", i), 1+rng.IntN(300))
			rec := record(at[i], data)
			if err := s.Append(ctx, name(i), at[i], rec, session.Attention{Owner: fmt.Sprintf("r%d", rng.IntN(9)), Due: session.Millis(1 + rng.IntN(99))}); err != nil {
				t.Fatal(err)
			}
			at[i] = rec.Position()
			if rng.IntN(3) == 0 {
				if err := s.PutSnapshot(ctx, name(i), session.Snapshot{Life: 1, Seq: rec.Seq, Data: data}); err != nil {
					t.Fatal(err)
				}
				if err := s.PutBlob(ctx, name(i), 1, rec.ID, data); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if left := leftovers(t, dir, "name007secret"); len(left) == 0 {
		t.Fatal("the test looks for the wrong thing: a living id is not found")
	}
	for _, i := range rng.Perm(sessions)[:sessions/2] {
		if err := s.Erase(ctx, name(i), at[i], session.Tombstone{Until: 1 << 50, Keys: []string{"k"}}); err != nil {
			t.Fatal(err)
		}
		at[i].Len = 0
	}
	check := func(when string) {
		for i := range sessions {
			if at[i].Len != 0 {
				continue
			}
			for _, text := range []string{name(i).Tenant, name(i).ID, fmt.Sprintf("content%03dsecret", i)} {
				if left := leftovers(t, dir, text); len(left) > 0 {
					t.Errorf("%s: %q is still in %v", when, text, left)
				}
			}
		}
	}
	check("after the last erase")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	check("after close")
}
