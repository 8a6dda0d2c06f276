package chaos

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/agentkernel/agentkernel/session"
)

// shape is a kind of turn that is more than a prompt, calls and a reply.
type shape struct {
	name   string
	agent  string
	prompt string
	file   string // the content of a file that comes with the prompt
	want   string // the reply; RESULT stands for what became of the call
	places []string
	least  int // places at which a server died, at the least
	asks   int // decisions of people
}

var everyPlace = []string{
	"append.before", "append.after", "model.before", "model.after", "tool.before", "tool.after",
}

// shapes all have one call that may take place at most once, except where there is none.
var shapes = []shape{
	{name: "approval", agent: "signs", prompt: "sign", want: "signed: RESULT", places: everyPlace, least: 15, asks: 1},
	{name: "subagent", agent: "boss", prompt: "boss", want: "it said used once: RESULT", places: everyPlace, least: 18},
	{name: "handoff", agent: "front", prompt: "hand over", want: "there: RESULT", places: everyPlace, least: 16},
	{name: "output", agent: "form", prompt: "form", want: `{"total": 3}`, places: everyPlace, least: 15},
	{
		name: "hooks", agent: "guarded", prompt: "use once", want: "used once: RESULT, checked",
		places: []string{"append.before", "append.after", "step.before", "step.after", "tool.before", "tool.after"}, least: 17,
	},
	{
		name: "file", agent: "a", prompt: "look at it", file: "hello", want: "seen it",
		places: []string{"append.before", "append.after", "blob.before", "blob.after", "model.before", "model.after"}, least: 8,
	},
	{name: "mcp", agent: "plugged", prompt: "plug", want: "plugged: RESULT", places: everyPlace, least: 14},
}

var shapely = world{
	agents: append(basic.agents,
		"{name: signs, model: local/m, tools: [signed]}",
		"{name: boss, model: local/m, subagents: [a]}",
		"{name: front, model: local/m, handoffs: [a]}",
		"{name: form, model: local/m, tools: [once], output_schema: {type: object, required: [total], properties: {total: {type: number}}}}",
		"{name: guarded, model: local/m, tools: [once], hooks: {before: [{name: in, http: {url: \"DESK/hook/in\"}}], after: [{name: out, http: {url: \"DESK/hook/out\"}}]}}",
		"{name: steered, model: local/m, busy: steer, tools: [once]}",
	),
	tools: []string{
		"{name: signed, description: does it, timeout: 1s, effect: at_most_once, approval: {when: always}, http: {method: POST, url: \"DESK/do/signed\"}, reconcile: {http: {url: \"DESK/done/{idempotency_key}\"}}}",
	},
}

// plugged is a world in which every server starts an MCP server, which is this binary.
func plugged() world {
	return world{
		agents: append(basic.agents, "{name: plugged, model: local/m, tools: [ext]}"),
		tools:  []string{fmt.Sprintf("{name: ext, timeout: 5s, mcp: {command: [%q], env: {%s: mcp, CHAOS_URL: \"DESK\"}}}", os.Args[0], roleVariable)},
	}
}

func (p *place) shapeScript() {
	call := func(name string) []map[string]any {
		return []map[string]any{{"tool": name, "args": map[string]any{"prompt": "use once"}}}
	}
	rule := func(when, tool, say string) map[string]any {
		return map[string]any{"when": "^" + when + "$", "calls": call(tool), "then": []map[string]any{{"say": say}}}
	}
	p.script([]map[string]any{
		rule("sign", "signed", "signed: ${result}"),
		rule("boss", "ask_a", "it said ${result}"),
		{"when": "^hand over$", "calls": call("transfer_to_a"), "then": []map[string]any{{"calls": call("once")}, {"say": "there: ${result.2}"}}},
		rule("form", "once", "three"),
		{"when": "^Your answer does not fit", "say": `{"total": 3}`},
		rule("plug", "ext_pay", "plugged: ${result}"),
		{"when": "(?s)^look at it.*a\\.txt.*hello", "say": "seen it"},
	}, nil)
}

// TestSIGKILLAtEveryPlaceOfOtherTurns: approvals, delegation, structured output, hooks, files and MCP tools. It kills a server at each place that such a turn passes, one after the other, until
// there is none left, and lets another server finish the turn.
func TestSIGKILLAtEveryPlaceOfOtherTurns(t *testing.T) {
	for _, sh := range shapes {
		t.Run(sh.name, func(t *testing.T) {
			deaths := make(chan int, len(sh.places))
			t.Run("at", func(t *testing.T) {
				for _, name := range sh.places {
					t.Run(name, func(t *testing.T) {
						t.Parallel()
						nth := 1
						for killedInShape(t, sh, fmt.Sprintf("%s:%d:kill", name, nth)) && nth < 20 {
							nth++
						}
						deaths <- nth - 1
					})
				}
			})
			close(deaths)
			all := 0
			for n := range deaths {
				all += n
			}
			if t.Logf("a server died at %d places", all); all < sh.least {
				t.Errorf("a server died at %d places, there are at least %d", all, sh.least)
			}
		})
	}
}

// killedInShape reports false when the turn never came to the place, and ended with the first server.
func killedInShape(t *testing.T, sh shape, at string) (died bool) {
	w := shapely
	if sh.agent == "plugged" {
		w = plugged()
	}
	p := newPlace(t, w)
	p.shapeScript()
	body := map[string]any{"session_id": "s", "agent": sh.agent, "prompt": sh.prompt}
	if sh.file != "" {
		body["files"] = []map[string]any{{"name": "a.txt", "media_type": "text/plain", "data": base64.StdEncoding.EncodeToString([]byte(sh.file))}}
	}
	s := p.serve(at)
	a, err := p.drive(s, "k", body, "run_again")
	died = err != nil
	if !died {
		s.signal(syscall.SIGKILL) // it might die of the next request
	}
	s.waitDead()
	if s = p.serve(""); died {
		if a, err = p.drive(s, "k", body, "run_again"); err != nil { // whoever might still act is dead
			t.Fatalf("killed at %s: %v", at, err)
		}
	}
	p.judgeShape(s, a, sh, at, body)
	return died
}

func (p *place) judgeShape(s *server, a answer, sh shape, at string, body map[string]any) {
	t := p.t
	t.Helper()
	again, err := s.post(ctx(t), "/api/v1/chat", "k", body)
	if err != nil || again != a {
		t.Errorf("%s: the same key: %+v, %v, want %+v", at, again, err, a)
	}
	became := "Error: the call was interrupted and did not take place"
	most, keys := p.desk.effects()
	if keys == 1 {
		became = "done"
	}
	if want := strings.ReplaceAll(sh.want, "RESULT", became); a.Result != want {
		t.Errorf("%s: the reply is %q, want %q", at, a.Result, want)
	}
	if most > 1 || keys > 1 {
		t.Errorf("%s: the call had %d effects, under %d keys", at, most, keys)
	}
	journal := s.journal("s")
	if n := count(journal, func(e session.Event) bool { return e.Type == session.TurnAccepted }); n != 1 {
		t.Errorf("%s: %d turns", at, n)
	}
	if n := count(journal, func(e session.Event) bool { return e.Type == session.TurnCompleted }); n != 1 {
		t.Errorf("%s: %d replies", at, n)
	}
	if n := count(journal, func(e session.Event) bool { return e.Signal != nil && e.Signal.Kind == session.SignalApprove }); n != sh.asks {
		t.Errorf("%s: %d decisions, want %d", at, n, sh.asks)
	}
	if n := count(journal, func(e session.Event) bool { return e.Type == session.StepStarted }); n > 1 && sh.agent != "plugged" {
		t.Errorf("%s: a call that may take place once was begun %d times", at, n)
	}
	if sh.asks > 0 {
		p.judgeDecision(s, a, at, journal)
	}
	p.verify("")
	if t.Failed() {
		t.Logf("%s: the journal is %s", at, mustJSON(journal))
	}
}

// judgeDecision looks whether the call waited for the yes, and whether a no that comes later is refused.
func (p *place) judgeDecision(s *server, a answer, at string, journal []session.Batch) {
	t := p.t
	t.Helper()
	yes := false
	for _, b := range journal {
		for _, e := range b.Events {
			yes = yes || e.Signal != nil && e.Signal.Kind == session.SignalApprove
			if e.Type == session.StepStarted && !yes {
				t.Errorf("%s: the call was begun before anybody allowed it", at)
			}
		}
	}
	if no, err := s.post(ctx(t), "/api/v1/turns/"+a.Turn+"/deny", "", map[string]any{}); err != nil || no.status != http.StatusConflict {
		t.Errorf("%s: a late no: %d %+v, %v", at, no.status, no, err)
	}
}

// TestAMessageToARunningTurnIsHeardOnce: the server dies around the record of a message that steers, and around the model
// call that hears it.
func TestAMessageToARunningTurnIsHeardOnce(t *testing.T) {
	for _, at := range []string{"append.before:3", "append.after:3", "tool.after:1", "append.before:4", "append.after:4", "model.before:2", "model.after:2", "append.before:5", "append.after:5"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t, shapely)
			p.desk.hold = make(chan struct{})
			s := p.serve(at + ":kill")
			first := map[string]any{"session_id": "s", "agent": "steered", "prompt": "use once"}
			second := map[string]any{"session_id": "s", "agent": "steered", "prompt": "and hurry"}
			both := make(chan error, 2)
			go func() { _, err := s.post(ctx(t), "/api/v1/chat", "k", first); both <- err }()
			p.desk.wait(t)
			go func() { _, err := s.post(ctx(t), "/api/v1/chat", "k2", second); both <- err }()
			if at != "append.before:3" && at != "append.after:3" {
				eventually(t, "the message is in the journal", func() bool {
					return count(s.journal("s"), func(e session.Event) bool { return e.Signal != nil }) == 1
				})
			}
			if !strings.HasSuffix(at, ":3") {
				p.desk.release()
			}
			s.waitDead()
			for range 2 {
				if err := <-both; err == nil && at != "append.after:5" {
					t.Error("a client was answered before the server died")
				}
			}
			p.desk.release()
			p.judgeSteered(p.serve(""), first, second)
		})
	}
}

func (p *place) judgeSteered(s *server, first, second map[string]any) {
	t := p.t
	t.Helper()
	b, err := p.drive(s, "k2", second, "run_again")
	if err != nil {
		t.Fatal(err)
	}
	a, err := p.drive(s, "k", first, "run_again")
	if err != nil {
		t.Fatal(err)
	}
	journal := s.journal("s")
	said := count(journal, func(e session.Event) bool { return e.Signal != nil && e.Signal.Kind == session.SignalMessage })
	accepted := count(journal, func(e session.Event) bool { return e.Type == session.TurnAccepted })
	completed := count(journal, func(e session.Event) bool { return e.Type == session.TurnCompleted })
	steered := b.Steered && a.Turn == b.Turn && a.Result == b.Result && said == 1 && accepted == 1
	apart := !b.Steered && a.Turn != b.Turn && said == 0 && accepted == 2 // the message came when the turn was over
	if b.Result != "you said and hurry" || !steered && !apart || completed != accepted {
		t.Errorf("the turn %+v, the message %+v, %d messages, %d turns, %d replies", a, b, said, accepted, completed)
	}
	if most, keys := p.desk.effects(); most != 1 || keys != 1 {
		t.Errorf("%d effects, %d keys", most, keys)
	}
	p.verify("")
	if t.Failed() {
		t.Logf("the journal is %s", mustJSON(journal))
	}
}

// TestTheDeathOfAnMCPServerInTheMiddleOfACall: of the server alone, which leaves the call in doubt, and of the process that
// started it, which takes the server with it.
func TestTheDeathOfAnMCPServerInTheMiddleOfACall(t *testing.T) {
	for _, who := range []string{"server", "both"} {
		t.Run(who, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t, plugged())
			p.shapeScript()
			p.desk.hold = make(chan struct{})
			s := p.serve("")
			body := map[string]any{"session_id": "s", "agent": "plugged", "prompt": "plug"}
			told := make(chan answer, 1)
			go func() {
				a, _ := s.post(ctx(t), "/api/v1/chat", "k", body)
				told <- a
			}()
			p.desk.wait(t)
			pid := p.desk.actor()
			if pid <= 1 {
				t.Fatalf("the call came from process %d", pid)
			}
			if who == "server" {
				_ = syscall.Kill(pid, syscall.SIGKILL)
				if a := <-told; a.status != http.StatusAccepted || a.Waiting == nil || a.Waiting.Reason != "in_doubt" {
					t.Errorf("%+v", a)
				}
			} else {
				s.signal(syscall.SIGKILL)
				s.waitDead()
				<-told
				eventually(t, "the MCP server has ended too", func() bool { return ended(pid) })
				s = p.serve("")
			}
			p.desk.release()
			a, err := p.drive(s, "k", body, "run_again")
			if err != nil {
				t.Fatal(err)
			}
			p.judgeShape(s, a, shape{agent: "plugged", want: "plugged: RESULT"}, who, body)
		})
	}
}
