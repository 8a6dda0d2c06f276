package agentkernel

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/store/sqlite"
)

// weight is what a session costs its process and its disk.
type weight struct {
	turns, goroutines int
	heap, file        int64
	records           uint64 // read to open it
	took              time.Duration
}

func (w weight) String() string {
	return fmt.Sprintf("after %5d turns: heap %5d KiB, %d goroutines, file %5d KiB; opening reads %d records and took %s",
		w.turns, w.heap>>10, w.goroutines, w.file>>10, w.records, w.took.Round(time.Microsecond))
}

// TestASessionOfTenThousandTurnsStaysSmallAndErasesWhole is P8: memory, goroutines and file do not grow with the length
// of a conversation, opening it reads no more, and an erase leaves none of it in the file's bytes.
func TestASessionOfTenThousandTurnsStaysSmallAndErasesWhole(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ak.db")
	open := func() *sqlite.Store {
		store, err := sqlite.Open(t.Context(), path, sqlite.Config{})
		if err != nil {
			t.Fatal(err)
		}
		return store
	}
	store := open()
	w := newWorld(t, store)
	cfg := w.config()
	cfg.IdempotencyTTL, cfg.Retention, cfg.SnapshotEvery = time.Second, time.Second, 256
	for _, a := range cfg.Agents {
		a.History.Turns = 50
	}
	k, err := Open(t.Context(), store, cfg)
	if err != nil {
		t.Fatal(err)
	}
	const id = "needle-session"
	key := session.Key{ID: id}
	weigh := func(turns int) weight {
		began := time.Now()
		f, err := k.fetch(key)
		if err != nil {
			t.Fatal(err)
		}
		took := time.Since(began)
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return weight{
			turns: turns, goroutines: runtime.NumGoroutine(), heap: int64(m.HeapAlloc), file: sizeOf(t, dir),
			records: f.s.At.Len - f.snapped, took: took,
		}
	}
	var weights []weight
	for n := 1; n <= 10_000; n++ {
		prompt := fmt.Sprintf("hello needle-prompt-%d %s", n, strings.Repeat("x", 200))
		h, err := k.Start(t.Context(), Request{Session: id, Prompt: prompt, Key: fmt.Sprint("needle-key-", n)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.models = 0
		if n%2000 == 0 {
			weights = append(weights, weigh(n))
			t.Log(weights[len(weights)-1])
		}
	}
	early, late := weights[1], weights[len(weights)-1]
	if late.heap > early.heap*3/2+(4<<20) || late.goroutines > early.goroutines+5 || late.file > early.file*3/2+(1<<20) || late.records > 3*256 {
		t.Errorf("it grows:\n%s\n%s", early, late)
	}
	if err := k.Erase(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range []string{"needle", "xxxx", "minutes of"} {
			if i := bytes.Index(data, []byte(word)); i >= 0 {
				t.Errorf("%s still holds %q at %d of %d bytes", filepath.Base(file), word, i, len(data))
			}
		}
	}
	again := open()
	defer again.Close()
	heads, err := again.Heads(t.Context(), []session.Key{key})
	if err != nil || heads[0].Tomb == nil || heads[0].Len != 0 {
		t.Errorf("what is left is %+v, %v", heads, err)
	}
}

func sizeOf(t *testing.T, dir string) (n int64) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if i, err := os.Stat(f); err == nil {
			n += i.Size()
		}
	}
	return n
}
