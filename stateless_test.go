package agentkernel

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/session/sessiontest"
	"github.com/agentkernel/agentkernel/store/memory"
)

// TestAnAgentMayAnswerWithoutItsStoreAndSaysSo: with the store down it has no history and no tools that change anything,
// its reply is announced as degraded, and nothing of it is kept.
func TestAnAgentMayAnswerWithoutItsStoreAndSaysSo(t *testing.T) {
	change := func(c *Config) {
		c.Scratch = memory.New()
		c.Agents[0].OnStoreOutage = Stateless
	}
	fleet(t, 1, change, func(t *testing.T, w *world, store *sessiontest.Faulty, all []*replica) {
		r := all[0]
		if _, err := start(t, r, "hello").Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		store.Always(sessiontest.Fail(errors.New("down")))
		time.Sleep(3 * time.Second)
		ask := Request{Session: "s", Prompt: "read once", Key: "k"}
		h, err := r.Start(t.Context(), ask)
		if err != nil {
			t.Fatal(err)
		}
		i, err := h.Settle(t.Context())
		if err != nil || i.State != session.Completed || i.Session != "s" || !h.Stateless() {
			t.Fatalf("%+v, %v", i, err)
		}
		if len(i.Degraded) == 0 || i.Degraded[0].What != "session" {
			t.Errorf("the reply is not called degraded: %+v", i.Degraded)
		}
		if len(w.effects) != 1 {
			t.Errorf("%d effects, want that of the read-only tool: %v", len(w.effects), w.effects)
		}
		again, err := r.Start(t.Context(), ask)
		if err != nil || again.ID() != h.ID() {
			t.Errorf("the same key: %v, %v", again, err)
		}
		if _, err := r.Start(t.Context(), Request{Session: "s", Agent: "plain", Prompt: "go"}); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("another agent: %v, want that it refuses", err)
		}
		same, err := r.Turn("", h.ID())
		if err != nil {
			t.Fatal(err)
		}
		if i, err := same.Info(t.Context()); err != nil || i.State != session.Completed {
			t.Errorf("looked at: %+v, %v", i, err)
		}
		store.Always(sessiontest.Pass())
		time.Sleep(3 * time.Second)
		if s := w.fold(keyS); len(s.Turns) != 1 {
			t.Errorf("%d turns in the journal, want the one before the outage", len(s.Turns))
		}
		h, err = r.Start(t.Context(), ask)
		if err != nil || h.Stateless() {
			t.Fatalf("with the store back: %v", err)
		}
		if _, err := h.Wait(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestWhoGoesOnAfterAStatelessAnswerBeginsAKeptConversation: its turns are found by their ids like all others.
func TestWhoGoesOnAfterAStatelessAnswerBeginsAKeptConversation(t *testing.T) {
	change := func(c *Config) {
		c.Scratch = memory.New()
		c.Agents[0].OnStoreOutage = Stateless
	}
	fleet(t, 1, change, func(t *testing.T, w *world, store *sessiontest.Faulty, all []*replica) {
		r := all[0]
		store.Always(sessiontest.Fail(errors.New("down")))
		time.Sleep(3 * time.Second)
		h, err := r.Start(t.Context(), Request{Prompt: "hello"})
		if err != nil || !h.Stateless() {
			t.Fatalf("without the store: %v, %v", h, err)
		}
		if _, err := r.Cancel(t.Context(), TurnRef{ID: h.ID()}); err != nil && fault.KindOf(err) != fault.Conflict {
			t.Errorf("cancelled: %v", err)
		}
		store.Always(sessiontest.Pass())
		time.Sleep(3 * time.Second)
		kept, err := r.Start(t.Context(), Request{Session: h.Session(), Prompt: "hello"})
		if err != nil || kept.Stateless() || kept.Session() == h.Session() {
			t.Fatalf("with the store back: %v, %v", kept, err)
		}
		if _, err := kept.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		again, err := r.Turn("", kept.ID())
		if err != nil {
			t.Fatal(err)
		}
		if i, err := again.Info(t.Context()); err != nil || i.State != session.Completed {
			t.Errorf("looked at by its id: %+v, %v", i, err)
		}
	})
}

func TestAnAgentWithoutAStoreNeedsAScratchStore(t *testing.T) {
	w := newWorld(t, memory.New())
	cfg := w.config()
	cfg.Agents[0].OnStoreOutage = Stateless
	if _, err := Open(context.Background(), w.store, cfg); fault.KindOf(err) != fault.Config {
		t.Errorf("got %v", err)
	}
	cfg.Agents[0].OnStoreOutage = "maybe"
	if _, err := Open(context.Background(), w.store, cfg); fault.KindOf(err) != fault.Config {
		t.Errorf("got %v", err)
	}
}

// misfit is a store that was made for something else.
type misfit struct {
	session.Store
	kind fault.Kind
}

func (m misfit) Meta(context.Context) (session.Meta, error) {
	return session.Meta{}, fault.New(m.kind, "", "made with other buckets")
}

func TestAStoreThatIsNotOursIsRefusedAtTheStartAndOneThatIsDownIsNot(t *testing.T) {
	w := newWorld(t, memory.New())
	for kind, refused := range map[fault.Kind]bool{fault.Config: true, fault.Unreadable: true, fault.Unavailable: false, fault.TimeoutTotal: false} {
		k, err := Open(context.Background(), misfit{memory.New(), kind}, w.config())
		if (err != nil) != refused {
			t.Errorf("%s: %v", kind, err)
		}
		if k != nil {
			_ = k.Close()
		}
	}
}
