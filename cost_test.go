package agentkernel

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/agentkernel/agentkernel/session/sessiontest"
	"github.com/agentkernel/agentkernel/store/memory"
)

// TestATurnCostsTwoAppendsAndAToolRoundTwoMore counts, on a hot session: appends are as declared, and nothing is read.
func TestATurnCostsTwoAppendsAndAToolRoundTwoMore(t *testing.T) {
	for _, c := range []struct {
		prompt  string
		appends int
		spread  int // more, when calls do not end together
	}{
		{"hello", 2, 0},
		{"read", 4, 0},
		{"once", 4, 0},
		{"read read idem once", 4, 3},
		{"read|once|idem", 8, 0},
	} {
		t.Run(c.prompt, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				inner := memory.New()
				store := sessiontest.NewFaulty(inner)
				w := newWorld(t, store)
				w.truth = inner
				r := w.replica(w.config(), "", 0, "")
				defer r.stop()
				synctest.Wait()
				for i := range 3 {
					if i == 1 {
						synctest.Wait()
						store.Reset() // the first turn also loads the session
					}
					h, err := r.Start(t.Context(), Request{Session: "s", Prompt: c.prompt})
					if err != nil {
						t.Fatal(err)
					}
					if _, err := h.Wait(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				synctest.Wait()
				if n := store.Count(sessiontest.Append); n < 2*c.appends || n > 2*(c.appends+c.spread) {
					t.Errorf("2 turns took %d appends, want %d to %d each", n, c.appends, c.appends+c.spread)
				}
				for _, m := range []sessiontest.Method{sessiontest.Read, sessiontest.Heads, sessiontest.GetSnapshot, sessiontest.GetBlob, sessiontest.List} {
					if n := store.Count(m); n != 0 {
						t.Errorf("a hot session cost %d calls of %s", n, m)
					}
				}
			})
		})
	}
}

// TestFiftyRequestsIntoOneSessionAreAllKeptInOrder also shows that acceptances share records.
func TestFiftyRequestsIntoOneSessionAreAllKeptInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, memory.New())
		cfg := w.config()
		first := w.replica(cfg, "", 0, "")
		defer first.stop()
		second := w.replica(w.config(), "", 0, "")
		defer second.stop()
		type answer struct {
			id, text string
			err      error
		}
		answers := make(chan answer)
		for i := range 50 {
			r := []*replica{first, second}[i%2]
			go func() {
				h, err := r.Start(t.Context(), Request{Session: "s", Prompt: fmt.Sprintf("hello %d", i)})
				if err != nil {
					answers <- answer{err: err}
					return
				}
				reply, err := h.Wait(t.Context())
				answers <- answer{h.ID(), reply.Text, err}
			}()
		}
		texts := map[string]string{}
		for range 50 {
			a := <-answers
			if a.err != nil {
				t.Fatal(a.err)
			}
			texts[a.id] = a.text
		}
		s := w.fold(keyS)
		if len(s.Turns) != 50 {
			t.Fatalf("%d turns are in the journal", len(s.Turns))
		}
		for i, turn := range s.Turns {
			if turn.Reply == nil || turn.Reply.Text != texts[turn.ID.String()] {
				t.Errorf("turn %s has another reply than its client was told", turn.ID)
			}
			if i > 0 && s.Turns[i-1].EndSeq > turn.EndSeq {
				t.Errorf("turn %s ended before %s, which was accepted earlier", turn.Ref, s.Turns[i-1].Ref)
			}
		}
	})
}
