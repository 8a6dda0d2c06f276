package agentkernel

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/session/sessiontest"
	"github.com/agentkernel/agentkernel/store/memory"
)

func TestASubAgentsStepsAreInItsParentsJournal(t *testing.T) {
	faulty(t, func(t *testing.T, w *world, _ *sessiontest.Faulty, r *replica) {
		i := state(t, start(t, r, "ask_helper:read+once"))
		var keys []string
		for _, st := range i.Steps {
			keys = append(keys, st.Step+" "+string(st.Kind))
		}
		got := strings.Join(keys, ", ")
		want := []string{"m0 model", "m0.0/m0 model", "m0.0/m0.0 tool", "m0.0/m0.1 tool", "m0.0/m1 model", "m0.0 agent", "m1 model"}
		for _, k := range want {
			if !strings.Contains(got, k) {
				t.Errorf("there is no %s in %s", k, got)
			}
		}
		if heads, err := w.truth.Heads(t.Context(), []session.Key{keyS}); err != nil || len(heads) != 1 {
			t.Errorf("%d sessions, %v", len(heads), err)
		}
		messages, _ := r.Messages(keyS)
		if len(messages) != 4 {
			t.Errorf("the conversation has %d messages: what the sub-agent said among itself is in it", len(messages))
		}
	})
}

func TestASubAgentsFailureIsAnErrorForItsParentsModel(t *testing.T) {
	for name, run := range map[string]func(context.Context, *Turn) (Reply, error){
		"error": func(context.Context, *Turn) (Reply, error) { return Reply{}, errors.New("no idea") },
		"panic": func(context.Context, *Turn) (Reply, error) { panic("secret") },
	} {
		t.Run(name, func(t *testing.T) {
			faulty(t, func(t *testing.T, _ *world, _ *sessiontest.Faulty, r *replica) {
				r.agentNamed(t, "helper").Runner = RunnerFunc(run)
				i := state(t, start(t, r, "ask_helper:x"))
				if i.State != session.Completed || !i.Steps[1].IsError || strings.Contains(i.Steps[1].Text, "secret") {
					t.Errorf("turn is %s, %+v", i.State, i.Steps)
				}
			})
		})
	}
}

func TestSubAgentsDoNotAskEachOtherForEver(t *testing.T) {
	faulty(t, func(t *testing.T, w *world, _ *sessiontest.Faulty, r *replica) {
		deep := r.agentNamed(t, "helper")
		deep.Subagents = []string{"other"}
		other := r.agentNamed(t, "other")
		other.Subagents = []string{"helper"}
		all := map[string]*Agent{"helper": deep, "other": other}
		if p := append(deep.delegation(all), other.delegation(all)...); len(p) > 0 {
			t.Fatal(p)
		}
		asked := 0
		r.cfg.Models["test"] = asks(func(req *model.Request) *model.Answer {
			asked++
			for _, tool := range req.Tools {
				if name, ok := strings.CutPrefix(tool.Name, askPrefix); ok && len(req.Messages) == 1 {
					return calling(askPrefix+name, `{"prompt":"go on"}`)
				}
			}
			return saying("enough")
		})
		i := state(t, start(t, r, "x"))
		if i.State != session.Completed || asked > 3*maxDepth {
			t.Errorf("turn is %s after %d model calls, %+v", i.State, asked, i.Error)
		}
	})
}

// asks is a model that is a function of the request.
type asks func(req *model.Request) *model.Answer

func (f asks) Generate(_ context.Context, req *model.Request, _ func(model.Chunk)) (*model.Answer, error) {
	return f(req), nil
}

func saying(text string) *model.Answer {
	return &model.Answer{Message: model.Message{Role: model.Assistant, Parts: []model.Part{{Text: text}}}}
}

func calling(name, args string) *model.Answer {
	return &model.Answer{Message: model.Message{Role: model.Assistant, Parts: []model.Part{{Call: &model.Call{ID: "c", Name: name, Args: []byte(args)}}}}}
}

func TestAHandOffChangesWhoSpeaksUntilSomeoneElseIsNamed(t *testing.T) {
	faulty(t, func(t *testing.T, w *world, _ *sessiontest.Faulty, r *replica) {
		i := state(t, start(t, r, "transfer_to_other"))
		if i.State != session.Completed || i.Agent != "a" || i.AnsweredBy != "other" {
			t.Fatalf("turn is %s of %s, answered by %s", i.State, i.Agent, i.AnsweredBy)
		}
		if i := state(t, start(t, r, "hello")); i.Agent != "other" {
			t.Errorf("a request that names nobody went to %s", i.Agent)
		}
		h, err := r.Start(t.Context(), Request{Session: "s", Agent: "a", Prompt: "hello", Key: "k"})
		if err != nil {
			t.Fatal(err)
		}
		if i := state(t, h); i.Agent != "a" {
			t.Errorf("a request that names a went to %s", i.Agent)
		}
		if i := state(t, start(t, r, "hello")); i.Agent != "a" {
			t.Errorf("after that, one that names nobody went to %s", i.Agent)
		}
	})
}

func TestOnlyOneCallOfAnAnswerHandsTheConversationOver(t *testing.T) {
	faulty(t, func(t *testing.T, w *world, _ *sessiontest.Faulty, r *replica) {
		i := state(t, start(t, r, "transfer_to_other transfer_to_other read"))
		if i.AnsweredBy != "other" || i.State != session.Completed {
			t.Fatalf("%+v", i)
		}
		refused := 0
		for _, st := range i.Steps {
			if st.IsError && strings.Contains(st.Text, "already") {
				refused++
			}
		}
		if refused != 1 || len(w.effects) != 1 {
			t.Errorf("%d refused, %d effects", refused, len(w.effects))
		}
	})
}

func TestOpenSaysWhatIsWrongWithAgentsAllAtOnce(t *testing.T) {
	w := newWorld(t, memory.New())
	cfg := w.config()
	a := cfg.Agents[0]
	a.Subagents = []string{"a", "nobody"}
	a.Handoffs = []string{"nobody", "other", "other"}
	a.OutputSchema = []byte(`{"type":"array"}`)
	a.OnDisconnect, a.History.Compact, a.History.Turns = "explode", "shred", 1
	a.Hooks = []Hook{{Name: "x"}, {Name: "x"}, {}}
	a.Tools = append(a.Tools, &Tool{Name: "transfer_to_other", Call: w.act(false)}, &Tool{Name: "t", Call: w.act(false), Approval: Approval{When: "often"}})
	cfg.Agents[1].Busy = Steer
	_, err := Open(t.Context(), w.store, cfg)
	if fault.KindOf(err) != fault.Config {
		t.Fatal(err)
	}
	for _, want := range []string{
		"sub-agent a is no other agent", "sub-agent nobody", "hand-off nobody", "transfer_to_other is named twice", "not a JSON Schema of type object",
		"on_disconnect is explode", "history.compact is shred", "at least 2 turns", `"x" is not one`, `"" is not one`,
		"its tool transfer_to_other", "approval.when is often", "only the native loop can be steered",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("it does not say %q:\n%v", want, err)
		}
	}
}

func TestAConversationThatIsTooLongIsSummedUpOrDropped(t *testing.T) {
	for _, how := range []Compact{Summarize, Drop} {
		t.Run(string(how), func(t *testing.T) {
			faulty(t, func(t *testing.T, w *world, _ *sessiontest.Faulty, r *replica) {
				r.agentNamed(t, "short").History = History{Turns: 4, Compact: how}
				longest, sums := 0, 0
				inner := r.cfg.Models["test"]
				r.cfg.Models["test"] = asks(func(req *model.Request) *model.Answer {
					longest = max(longest, len(req.Messages))
					if last := req.Messages[len(req.Messages)-1].Text(); strings.HasPrefix(last, "Sum up") {
						sums++
					}
					a, _ := inner.Generate(t.Context(), req, nil)
					return a
				})
				for n := range 20 {
					h, err := r.Start(t.Context(), Request{Session: "s", Agent: "short", Prompt: fmt.Sprint("hello ", n)})
					if err != nil {
						t.Fatal(err)
					}
					if i := state(t, h); i.State != session.Completed {
						t.Fatalf("turn %d is %s: %+v", n, i.State, i.Error)
					}
				}
				s := w.fold(keyS)
				if len(s.Turns) > 5 || s.Summary == nil || longest > 11 || s.Summary.Dropped != (how == Drop) {
					t.Errorf("%d turns are kept, %d messages were shown, summary %+v", len(s.Turns), longest, s.Summary)
				}
				if (sums == 0) != (how == Drop) {
					t.Errorf("%d summaries were made", sums)
				}
				info, err := r.Session(keyS)
				if err != nil || info.Summary == "" {
					t.Errorf("%+v, %v", info, err)
				}
			})
		})
	}
}

func TestAConversationThatCannotBeSummedUpGoesOn(t *testing.T) {
	faulty(t, func(t *testing.T, w *world, _ *sessiontest.Faulty, r *replica) {
		r.agentNamed(t, "short").History = History{Tokens: 50, Turns: 100}
		inner := r.cfg.Models["test"]
		var notes []string
		r.cfg.Models["test"] = maybe(func(req *model.Request) (*model.Answer, error) {
			if strings.HasPrefix(req.Messages[len(req.Messages)-1].Text(), "Sum up") {
				return nil, fault.New(fault.Overloaded, "", "not now")
			}
			notes = append(notes, req.Instructions)
			return inner.Generate(t.Context(), req, nil)
		})
		for range 3 {
			h, _ := r.Start(t.Context(), Request{Session: "s", Agent: "short", Prompt: "hello " + strings.Repeat("x", 100)})
			if i := state(t, h); i.State != session.Completed {
				t.Fatalf("turn is %s, %+v", i.State, i.Error)
			}
		}
		if s := w.fold(keyS); s.Summary == nil || !s.Summary.Dropped || !strings.Contains(notes[2], "left out") {
			t.Errorf("%+v, told %q", s.Summary, notes)
		}
	})
}

type maybe func(req *model.Request) (*model.Answer, error)

func (f maybe) Generate(_ context.Context, req *model.Request, _ func(model.Chunk)) (*model.Answer, error) {
	return f(req)
}

func TestFilesReachTheModelAndBadOnesNobody(t *testing.T) {
	faulty(t, func(t *testing.T, w *world, _ *sessiontest.Faulty, r *replica) {
		var seen []model.File
		r.cfg.Models["test"] = asks(func(req *model.Request) *model.Answer {
			seen = nil
			for _, m := range req.Messages {
				for _, p := range m.Parts {
					if p.File != nil {
						seen = append(seen, *p.File)
					}
				}
			}
			return saying("nice")
		})
		ask := func(key string, files ...model.File) (*Handle, error) {
			return r.Start(t.Context(), Request{Session: "s", Prompt: "look", Files: files, Key: key})
		}
		cat := model.File{Name: "cat.png", MediaType: "image/png", Data: []byte("meow")}
		h, err := ask("k", cat)
		if err != nil {
			t.Fatal(err)
		}
		if i := state(t, h); i.State != session.Completed || len(seen) != 1 || string(seen[0].Data) != "meow" || seen[0].Size != 4 {
			t.Errorf("the model saw %+v", seen)
		}
		state(t, start(t, r, "and again")) // the file is in the history
		if len(seen) != 1 || string(seen[0].Data) != "meow" {
			t.Errorf("a turn later the model saw %+v", seen)
		}
		if again, err := ask("k", cat); err != nil || again.ID() != h.ID() {
			t.Errorf("the same request: %v, %v", again, err)
		}
		if _, err := ask("k", model.File{Name: "cat.png", MediaType: "image/png", Data: []byte("wuff")}); fault.KindOf(err) != fault.KeyMismatch {
			t.Errorf("another file under the same key: %v", err)
		}
		for name, f := range map[string]model.File{
			"empty": {MediaType: "image/png"}, "no type": {Data: []byte("x")}, "bad type": {Data: []byte("x"), MediaType: "a b/c;"},
			"long name": {Data: []byte("x"), MediaType: "image/png", Name: strings.Repeat("n", 300)},
		} {
			if _, err := ask("", f); fault.KindOf(err) != fault.BadRequest {
				t.Errorf("%s: %v", name, err)
			}
		}
		r.cfg.SessionBytes = 10
		if _, err := ask("", model.File{Data: []byte("much too much"), MediaType: "text/plain"}); fault.KindOf(err) != fault.TooLarge {
			t.Errorf("more than the session may hold: %v", err)
		}
		if _, err := ask("", cat); err != nil {
			t.Errorf("a file that it holds already: %v", err)
		}
		if _, err := ask("", make([]model.File, maxFiles+1)...); fault.KindOf(err) != fault.TooLarge {
			t.Errorf("too many: %v", err)
		}
	})
}
