package agentkernel

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/store/memory"
	"github.com/agentkernel/agentkernel/store/sqlite"
)

func openSQLite(t testing.TB) *sqlite.Store {
	t.Helper()
	store, err := sqlite.Open(context.Background(), filepath.Join(t.TempDir(), "ak.db"), sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

// TestAThousandSessionsKeepWholeTranscriptsInOrder runs 1,000 sessions at once, ten turns each, on SQLite.
func TestAThousandSessionsKeepWholeTranscriptsInOrder(t *testing.T) {
	const sessions, turns = 1000, 10
	w := newWorld(t, openSQLite(t))
	cfg := w.config()
	cfg.MaxRunning, cfg.CacheSize, cfg.LeaseTTL, cfg.StoreTimeout = 2*sessions, sessions/2, 30*time.Second, time.Minute
	k, err := Open(t.Context(), w.store, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	var wg sync.WaitGroup
	for i := range sessions {
		wg.Go(func() {
			for n := range turns {
				h, err := k.Start(t.Context(), Request{Session: fmt.Sprint("s", i), Prompt: fmt.Sprintf("hello %d.%d", i, n)})
				if err != nil {
					t.Errorf("session %d turn %d: %v", i, n, err)
					return
				}
				if reply, err := h.Wait(t.Context()); err != nil || reply.Text != fmt.Sprintf("done: hello %d.%d", i, n) {
					t.Errorf("session %d turn %d: %q, %v", i, n, reply.Text, err)
					return
				}
			}
		})
	}
	wg.Wait()
	for i := range sessions {
		messages, err := k.Messages(session.Key{ID: fmt.Sprint("s", i)})
		if err != nil || len(messages) != 2*turns {
			t.Fatalf("session %d has %d messages, want %d: %v", i, len(messages), 2*turns, err)
		}
		for n, m := range messages {
			want := model.User
			if n%2 == 1 {
				want = model.Assistant
			}
			said := fmt.Sprintf("hello %d.%d", i, n/2)
			if want == model.Assistant {
				said = "done: " + said
			}
			if m.Role != want || m.Text() != said {
				t.Fatalf("session %d message %d is %s %q", i, n, m.Role, m.Text())
			}
		}
	}
}

// BenchmarkTurn is a turn without tools (two appends), beside the raw appends of its records on the same store.
func BenchmarkTurn(b *testing.B) {
	for name, open := range map[string]func() session.Store{
		"memory": func() session.Store { return memory.New() },
		"sqlite": func() session.Store { return openSQLite(b) },
	} {
		for _, clients := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("%s/clients=%d/turn", name, clients), func(b *testing.B) { benchTurns(b, open(), clients, "hello") })
			b.Run(fmt.Sprintf("%s/clients=%d/tool_round", name, clients), func(b *testing.B) { benchTurns(b, open(), clients, "once") })
			b.Run(fmt.Sprintf("%s/clients=%d/raw_two_appends", name, clients), func(b *testing.B) { benchAppends(b, open(), clients) })
		}
	}
}

// spread has clients share n operations; each client has a session of its own for every 20 operations.
func spread(b *testing.B, clients int, op func(key session.Key, i int) error) {
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for c := range clients {
		wg.Go(func() {
			for n := 0; int(next.Add(1)) <= b.N; n++ {
				if err := op(session.Key{ID: fmt.Sprintf("s%d.%d", c, n/20)}, n%20); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func benchTurns(b *testing.B, store session.Store, clients int, prompt string) {
	w := newWorld(b, store)
	cfg := w.config()
	for _, t := range cfg.Agents[0].Tools {
		t.Call = func(context.Context, ToolCall) (string, error) { return "did", nil }
	}
	cfg.LeaseTTL = time.Minute
	k, err := Open(context.Background(), store, cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer k.Close()
	spread(b, clients, func(key session.Key, _ int) error {
		h, err := k.Start(context.Background(), Request{Session: key.ID, Prompt: prompt})
		if err == nil {
			_, err = h.Wait(context.Background())
		}
		return err
	})
}

func benchAppends(b *testing.B, store session.Store, clients int) {
	input := mustJSON(model.UserText("hello"))
	var mu sync.Mutex
	at := map[session.Key]session.Position{}
	spread(b, clients, func(key session.Key, _ int) error {
		mu.Lock()
		pos := at[key]
		mu.Unlock()
		for range 2 {
			rec, _, err := session.NewRecord(pos, "r", 1, now(), []session.Event{{Type: session.TurnAccepted, Accepted: &session.Request{Agent: "a", Input: input}}})
			if err != nil {
				return err
			}
			if err := store.Append(context.Background(), key, pos, rec, session.Attention{Owner: "r", Epoch: 1, Due: 1}); err != nil {
				return err
			}
			pos = rec.Position()
		}
		mu.Lock()
		at[key] = pos
		mu.Unlock()
		return nil
	})
}
