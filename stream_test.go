package agentkernel

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/session/sessiontest"
	"github.com/agentkernel/agentkernel/store/memory"
)

// heard collects what a reader is told from after one id on, up to n events (0: all).
func heard(t *testing.T, h *Handle, after string, n int) (events []Event) {
	t.Helper()
	for e, err := range h.Events(t.Context(), after) {
		if err != nil {
			t.Fatalf("after %d events: %v", len(events), err)
		}
		events = append(events, e)
		if len(events) == n {
			break
		}
	}
	return events
}

func journaled(events []Event) (types []string) {
	for _, e := range events {
		if e.Type != EventDelta && e.Type != EventReset {
			types = append(types, e.ID+" "+e.Type)
		}
	}
	return types
}

func textOf(events []Event) (text string) {
	for _, e := range events {
		var d struct{ Text string }
		_ = json.Unmarshal(e.Data, &d)
		switch e.Type {
		case EventDelta:
			text += d.Text
		case EventReset:
			text = d.Text
		}
	}
	return text
}

func TestAReaderMayResumeAfterAnyEventAtAnyReplicaWithoutGapOrDuplicate(t *testing.T) {
	faulty(t, func(t *testing.T, w *world, _ *sessiontest.Faulty, r *replica) {
		h := start(t, r, "read once|idem")
		all := heard(t, h, "", 0)
		if last := all[len(all)-1]; last.Type != EventDone || !strings.Contains(string(last.Data), "done: read once|idem") {
			t.Fatalf("the last event is %s %s", last.Type, last.Data)
		}
		other := w.replica(w.config(), "", 0, "")
		defer other.stop()
		oh, _ := other.Turn("", h.ID())
		want := journaled(all)
		for i, e := range all {
			got := append(journaled(all[:i+1]), journaled(heard(t, oh, e.ID, 0))...)
			if e.Type == EventDone {
				got = journaled(all[:i+1])
			}
			if strings.Join(got, ",") != strings.Join(want, ",") {
				t.Errorf("resumed after %s:\n got %v\nwant %v", e.ID, got, want)
			}
		}
		if got := journaled(heard(t, oh, "nonsense", 0)); strings.Join(got, ",") != strings.Join(want, ",") {
			t.Errorf("an unknown id: %v", got)
		}
	})
}

func TestStreamedTextIsTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, memory.New())
		cfg := w.config()
		step := make(chan struct{})
		cfg.Agents = append(cfg.Agents, &Agent{Name: "typist", Runner: RunnerFunc(func(ctx context.Context, tu *Turn) (Reply, error) {
			for _, c := range "character by character" {
				tu.Emit(string(c))
				<-step
			}
			return Reply{Text: "character by character"}, nil
		})})
		r := w.replica(cfg, "", 0, "")
		defer r.stop()
		h, err := r.Start(t.Context(), Request{Session: "s", Agent: "typist", Prompt: "type"})
		if err != nil {
			t.Fatal(err)
		}
		events := heard(t, h, "", 2)
		for range 10 {
			step <- struct{}{}
		}
		synctest.Wait()
		events = append(events, heard(t, h, events[1].ID, 1)...) // a slow reader gets a larger piece
		if got := textOf(events); got != "character b" {
			t.Errorf("so far %q", got)
		}
		late := textOf(heard(t, h, "", 2)) // another one starts in the middle
		if late != "character b" {
			t.Errorf("a late reader was told %q", late)
		}
		close(step)
		state(t, h)
		rest := heard(t, h, events[len(events)-1].ID, 0)
		if rest[len(rest)-1].Type != EventDone {
			t.Errorf("no done: %v", rest)
		}
	})
}

// TestAStreamSurvivesItsReplica: the owner dies in mid-stream; what the next one streams replaces it.
func TestAStreamSurvivesItsReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, memory.New())
		cfg := func(hang chan struct{}) Config {
			c := w.config()
			c.Agents = append(c.Agents, &Agent{Name: "typist", Runner: RunnerFunc(func(ctx context.Context, tu *Turn) (Reply, error) {
				tu.Emit("hello ")
				select {
				case <-hang:
				case <-ctx.Done():
					return Reply{}, ctx.Err()
				}
				tu.Emit("world")
				return Reply{Text: "hello world"}, nil
			})})
			return c
		}
		open := make(chan struct{})
		first := w.replica(cfg(make(chan struct{})), "", 0, "")
		second := w.replica(cfg(open), "", 0, "")
		defer second.stop()
		h, err := first.Start(t.Context(), Request{Session: "s", Agent: "typist", Prompt: "type"})
		if err != nil {
			t.Fatal(err)
		}
		seen := heard(t, h, "", 2)
		first.mu.Lock()
		first.dead = true
		first.mu.Unlock()
		first.stop()
		sh, _ := second.Turn("", h.ID())
		done := make(chan []Event)
		go func() { done <- heard(t, sh, seen[1].ID, 0) }()
		i := func() *TurnInfo {
			close(open)
			return state(t, sh)
		}()
		events := <-done
		if i.State != session.Completed || events[len(events)-1].Type != EventDone {
			t.Errorf("%s, %v", i.State, events)
		}
	})
}
