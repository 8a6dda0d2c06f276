package agentkernel

import (
	"context"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/internal/failpoint"
	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/store/memory"
	"github.com/agentkernel/agentkernel/store/sqlite"
)

// shapes are the turns that are run against every crash. A word of a prompt names a tool, "|" begins the next round.
var shapes = []struct {
	name    string
	prompts []string
}{
	{"no tool", []string{"hello"}},
	{"read-only, two at once", []string{"read read"}},
	{"idempotent", []string{"idem"}},
	{"at most once, with reconcile", []string{"once"}},
	{"at most once, asks a person", []string{"ask"}},
	{"at most once, tells the model", []string{"tell"}},
	{"at most once, fails the turn", []string{"fail"}},
	{"at most once, tool refuses duplicates", []string{"refuse"}},
	{"every class at once", []string{"read idem once ask refuse"}},
	{"three rounds", []string{"read|once|idem refuse"}},
	{"two turns of one session", []string{"once", "read|ask"}},
	{"the tool's answer is lost", []string{"cut"}},
	{"a plain function with steps", []string{"@plain go"}},
	{"approved", []string{"okay"}},
	{"denied", []string{"nope"}},
	{"two approvals beside other calls", []string{"read okay idem_okay once"}},
	{"cancelled while it waits", []string{"drop", "hello"}},
	{"cancelled while it runs", []string{"read|halt|once", "hello"}},
	{"a sub-agent", []string{"ask_helper:read+once/refuse"}},
	{"two sub-agents at once, one asks for approval", []string{"ask_helper:once ask_helper:okay"}},
	{"a hand-off, which lasts", []string{"transfer_to_other|once", "read"}},
	{"a function that sleeps and asks", []string{"@sleepy go"}},
	{"structured output, repaired", []string{"@shaped draft"}},
	{"steered", []string{"@steered chat|once"}},
	{"near its limit", []string{"@tired read|once|read|read"}},
	{"hooks", []string{"@hooked once"}},
	{"compacted history", []string{"@short once", "@short read", "@short hello", "@short once"}},
	{"files and a long result", []string{"file long"}},
}

// request is the n-th request of a shape; "@name " before the prompt names another agent than the first.
func request(prompts []string, n int) Request {
	req := Request{Session: "s", Prompt: prompts[n], Key: fmt.Sprint("k", n)}
	if agent, prompt, ok := strings.Cut(strings.TrimPrefix(prompts[n], "@"), " "); ok && prompts[n][0] == '@' {
		req.Agent, req.Prompt = agent, prompt
	}
	if strings.HasPrefix(req.Prompt, "file ") {
		req.Prompt = strings.TrimPrefix(req.Prompt, "file ")
		req.Files = []model.File{{Name: "a.txt", MediaType: "text/plain", Data: []byte("the file")}}
	}
	return req
}

// outcomeOf is what a run leaves behind, as far as crashes must not change it.
type outcomeOf struct {
	Transcript []model.Message
	States     []session.TurnState
	Replies    []string
	Summary    string
	Agent      string
}

// TestACrashAtAnyPlaceChangesNothing stops a replica at every place that a crash-free run passes, in every way that a
// process can stop there, lets a second replica finish, and compares.
func TestACrashAtAnyPlaceChangesNothing(t *testing.T) {
	t.Run("memory", func(t *testing.T) {
		enumerate(t, false, func(t *testing.T) (session.Store, func() session.Store) {
			store := memory.New()
			return store, func() session.Store { return store }
		})
	})
	t.Run("sqlite", func(t *testing.T) { // each replica with its own handle on one file, as two processes have
		enumerate(t, true, func(t *testing.T) (session.Store, func() session.Store) {
			path := filepath.Join(t.TempDir(), "ak.db")
			open := func() session.Store {
				store, err := sqlite.Open(context.Background(), path, sqlite.Config{})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = store.Close() })
				return store
			}
			return open(), open
		})
	})
}

// stores makes the store of one case, and further handles on it.
type stores func(t *testing.T) (session.Store, func() session.Store)

func enumerate(t *testing.T, durable bool, open stores) {
	cases := 0
	passed := map[failpoint.Name]bool{ // those of an erase are enumerated by the next test; beats stop at every other crash
		failpoint.EraseBefore: true, failpoint.EraseAfter: true, failpoint.BeatBefore: true,
	}
	for _, shape := range shapes {
		var want outcomeOf
		var hits []failpoint.Name
		synctest.Test(t, func(t *testing.T) {
			want, hits = crashFree(t, open, shape.prompts)
		})
		nth := map[failpoint.Name]int{}
		for _, name := range hits {
			nth[name]++
			passed[name] = true
			modes := []string{"crash", "stall"}
			if !durable { // what these come to does not depend on the store
				modes = append(modes, "drain", "cancel")
			}
			if name == failpoint.AppendAfter {
				modes = append(modes, "lost")
			}
			for _, mode := range modes {
				cases++
				n := nth[name]
				t.Run(fmt.Sprintf("%s/%s.%d/%s", shape.name, name, n, mode), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) { crashed(t, open, shape.prompts, name, n, mode, want) })
				})
			}
		}
	}
	t.Logf("%d cases", cases)
	for _, name := range failpoint.All {
		if !passed[name] {
			t.Errorf("no shape passes %s", name)
		}
	}
	if cases < 1400 {
		t.Errorf("only %d cases: the enumeration lost most places", cases)
	}
}

func crashFree(t *testing.T, open stores, prompts []string) (outcomeOf, []failpoint.Name) {
	store, _ := open(t)
	w := newWorld(t, store)
	r := w.replica(w.config(), "", 0, "")
	defer r.stop()
	for i := range prompts {
		if err := w.finish(t.Context(), r, request(prompts, i)); err != nil {
			t.Fatal(err)
		}
	}
	return w.outcome(), r.hits
}

func crashed(t *testing.T, open stores, prompts []string, name failpoint.Name, nth int, mode string, want outcomeOf) {
	store, another := open(t)
	w := newWorld(t, store)
	first := w.replica(w.config(), name, nth, mode)
	defer first.stop()
	var second *replica
	if mode == "drain" { // it hands over to a replica that is there already
		w.store = another()
		second = w.replica(w.config(), "", 0, "")
		defer second.stop()
	}
	clientDone := make(chan struct{})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	go func() { // a client of the first replica, who sends the turns one after the other
		defer close(clientDone)
		for i := range prompts {
			if err := w.finish(ctx, first, request(prompts, i)); err != nil {
				return
			}
		}
	}()
	select {
	case <-first.struck:
	case <-clientDone: // a lost answer stops nothing; and calls that end together may need one record less than before
	}
	if second == nil {
		w.store = another()
		second = w.replica(w.config(), "", 0, "")
		defer second.stop()
	}
	for i := range prompts {
		if err := w.finish(ctx, second, request(prompts, i)); err != nil {
			t.Fatal(err)
		}
	}
	if mode == "stall" { // the first owner wakes up, long after it was taken over
		first.thaw()
		time.Sleep(3 * time.Second)
	}
	cancel()
	first.thaw() // its client may be inside it; a dead one has no effect on the world any more
	<-clientDone
	if mode == "cancel" {
		w.judgeCancelled(want)
		return
	}
	w.judge(want)
}

// judgeCancelled checks what must hold of a run in which a turn was cancelled at any place: it is at rest, every call has
// one result, nothing acted twice, and the turns before and behind the cancelled one are what they were.
func (w *world) judgeCancelled(want outcomeOf) {
	w.t.Helper()
	s := w.fold(keyS)
	if s.Owner != "" || len(s.Open) > 0 {
		w.t.Errorf("the session is not at rest: owner %q, %d open turns", s.Owner, len(s.Open))
	}
	cancelled := 0
	for _, turn := range s.Turns {
		w.checkSteps(turn)
		if turn.State == session.Cancelled {
			cancelled++
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, v := range w.violated {
		w.t.Error(v)
	}
	for key, n := range w.effects {
		if n > 1 && w.once(s, key) {
			w.t.Errorf("the call with key %s had %d effects", key, n)
		}
	}
	for _, state := range want.States {
		if state == session.Cancelled {
			cancelled--
		}
	}
	if cancelled > 1 {
		w.t.Errorf("%d turns were cancelled beside the one", cancelled-1)
	}
	if got := w.outcome(); cancelled <= 0 && len(got.States) == len(want.States) && !reflect.DeepEqual(got.States, want.States) {
		w.t.Errorf("no turn was cancelled, and the turns are %v, want %v", got.States, want.States)
	}
}

// finish sends a request, again and again under the same key, until its turn has ended. A turn that asks what became of a
// call is answered with the truth; one that asks for approval gets what the tool's name says.
func (w *world) finish(ctx context.Context, r *replica, req Request) error {
	for {
		h, err := r.Start(ctx, req)
		if err != nil {
			return err
		}
		i, err := h.Settle(ctx)
		if err != nil {
			return err
		}
		switch {
		case i.State.Ended():
			return nil
		case i.State != session.Waiting:
			return fmt.Errorf("turn %s is %s and nobody ends it: %+v", i.ID, i.State, i.Waiting)
		}
		if err := w.answer(ctx, r, i); err != nil && fault.KindOf(err) != fault.Conflict {
			return err
		}
	}
}

// answer is a person's word to a turn that waits.
func (w *world) answer(ctx context.Context, r *replica, i *TurnInfo) error {
	ref := TurnRef{ID: i.ID}
	var err error
	switch i.Waiting.Reason {
	case session.WaitTimer:
		time.Sleep(time.Second)
	case session.WaitApproval:
		ask := i.Waiting.Asks[0]
		switch ask.Name {
		case "nope":
			_, err = r.Deny(ctx, ref, Decision{Step: ask.Step, Note: "too dear"})
		case "drop":
			_, err = r.Cancel(ctx, ref)
		default:
			_, err = r.Approve(ctx, ref, Decision{Step: ask.Step, Digest: ask.Digest})
		}
	case session.WaitInDoubt:
		_, err = r.Resolve(ctx, ref, w.truthOf(i))
	default:
		err = fmt.Errorf("turn %s waits: %+v", i.ID, i.Waiting)
	}
	return err
}

func (w *world) truthOf(i *TurnInfo) Resolution {
	res := Resolution{Step: i.Waiting.Step, Outcome: session.RunAgain}
	s := w.fold(session.Key{ID: i.Session})
	id, _ := session.ParseTurnID(i.ID)
	st := s.Find(id).Step(i.Waiting.Step)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.effects[st.Start.Key] > 0 {
		res.Outcome, res.Result = session.Happened, "did "+string(st.Start.Args)
	}
	return res
}

// outcome reads what a run left in the journal.
func (w *world) outcome() outcomeOf {
	s := w.fold(session.Key{ID: "s"})
	var o outcomeOf
	for _, t := range s.Turns {
		o.States = append(o.States, t.State)
		if t.Reply != nil {
			o.Replies = append(o.Replies, string(mustJSON(t.Reply)))
		}
	}
	if o.Agent = s.Agent; s.Summary != nil {
		o.Summary = s.Summary.Text
	}
	messages, err := new(told).history(s)
	if err != nil {
		w.t.Error(err)
	}
	o.Transcript = messages
	return o
}

// judge compares a run that was disturbed with one that was not, and checks what must hold in every run.
func (w *world) judge(want outcomeOf) {
	w.t.Helper()
	s := w.fold(session.Key{ID: "s"})
	if s.Owner != "" || len(s.Open) > 0 {
		w.t.Errorf("the session is not at rest: owner %q, %d open turns", s.Owner, len(s.Open))
	}
	told := false // a call stayed unknown, which its policy allows to change the answer
	for _, turn := range s.Turns {
		w.checkSteps(turn)
		for _, st := range turn.Steps {
			told = told || st.State == session.StepUnclear || st.Solved != nil && st.Solved.Outcome == session.StaysUnknown ||
				st.Solved != nil && st.Solved.Outcome == session.DidNotHappen || st.Result != nil && st.Result.Healed
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, v := range w.violated {
		w.t.Error(v)
	}
	for key, n := range w.effects {
		if n > 1 && w.once(s, key) {
			w.t.Errorf("the call with key %s had %d effects", key, n)
		}
	}
	got := w.outcome()
	if told {
		if len(got.States) != len(want.States) {
			w.t.Errorf("turns are %v, want %v", got.States, want.States)
		}
		return
	}
	if !reflect.DeepEqual(got, want) {
		w.t.Errorf("the crash changed the outcome:\n got %+v\nwant %+v", got, want)
	}
}

// once reports whether the call of that key must have one effect at most: it was started as at-most-once.
func (w *world) once(s *session.Session, key string) bool {
	for _, t := range s.Turns {
		for _, st := range t.Steps {
			if st.Start != nil && st.Start.Key == key {
				return true
			}
		}
	}
	return false
}

// checkSteps is P14 on what was journaled: every call of a model has exactly one result.
func (w *world) checkSteps(t *session.Turn) {
	for _, st := range t.Steps {
		if st.Result == nil || st.Result.Kind != session.ModelStep {
			continue
		}
		a, ok, err := answerOf(st)
		if err != nil || !ok {
			w.t.Errorf("turn %s: step %s is no answer: %v", t.Ref, st.Key, err)
			continue
		}
		for i := range a.Message.Calls() {
			if c := t.Step(callKeyOf(st.Key, i)); c == nil || c.State != session.StepDone {
				w.t.Errorf("turn %s: call %s has no result", t.Ref, callKeyOf(st.Key, i))
			}
		}
	}
}

// TestACrashOfAnEraseIsFinishedByTheNextReplica stops the eraser at every place.
func TestACrashOfAnEraseIsFinishedByTheNextReplica(t *testing.T) {
	for _, c := range []struct {
		place failpoint.Name
		nth   int
		mode  string
	}{
		{failpoint.AppendBefore, 3, "crash"},
		{failpoint.AppendAfter, 3, "crash"},
		{failpoint.AppendAfter, 3, "lost"},
		{failpoint.EraseBefore, 1, "crash"},
		{failpoint.EraseAfter, 1, "crash"},
		{failpoint.AppendAfter, 3, "stall"},
		{failpoint.EraseBefore, 1, "stall"},
		{failpoint.EraseAfter, 1, "stall"},
	} {
		t.Run(fmt.Sprint(c.place, "/", c.mode), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, memory.New())
				first := w.replica(w.config(), c.place, c.nth, c.mode)
				defer first.stop()
				state(t, start(t, first, "hello"))
				erased := make(chan error, 1)
				go func() { erased <- first.Erase(t.Context(), keyS) }()
				if c.mode == "lost" {
					if err := <-erased; err != nil {
						t.Error(err)
					}
				} else {
					<-first.struck
				}
				second := w.replica(w.config(), "", 0, "")
				defer second.stop()
				time.Sleep(5 * time.Second)
				if c.place == failpoint.AppendBefore { // nothing was written: whoever asked must ask again
					if err := second.Erase(t.Context(), keyS); err != nil {
						t.Error(err)
					}
				}
				if c.mode == "stall" { // it wakes up when the id is used again
					state(t, start(t, second, "hello"))
					first.thaw()
					<-erased
					time.Sleep(5 * time.Second)
					if s := w.fold(keyS); s.At.Life != 2 || len(s.Turns) != 1 {
						t.Errorf("life %d with %d turns: the woken eraser did not stop", s.At.Life, len(s.Turns))
					}
					return
				}
				head, records, err := w.truth.Read(t.Context(), keyS, 0, 0)
				if err != nil || head.Tomb == nil || len(records) != 0 {
					t.Errorf("%d records are left, tombstone %v, %v", len(records), head.Tomb, err)
				}
			})
		})
	}
}
