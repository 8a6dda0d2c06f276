package server

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/session"
)

// askSite has an agent, asking, whose tool needs a person's yes. Its calls are counted.
func askSite(t *testing.T) (x *site, calls chan agentkernel.ToolCall) {
	calls = make(chan agentkernel.ToolCall, 8)
	tool := &agentkernel.Tool{
		Name: "charge_card", Parameters: json.RawMessage(`{"type":"object","properties":{"order":{"type":"string"},"amount":{"type":"number"}}}`),
		Call: func(_ context.Context, c agentkernel.ToolCall) (string, error) {
			calls <- c
			return "charged after a yes", nil
		},
	}
	agentkernel.WithApproval(time.Hour, "treasurer")(tool)
	return newSite(t, func(c *agentkernel.Config, _ *Config) {
		c.Agents = append(c.Agents, &agentkernel.Agent{Name: "asking", Model: "scripted/one", Tools: []*agentkernel.Tool{tool}})
	}), calls
}

// asked makes a turn that asks.
func (x *site) asked() (turn string, ask session.Ask) {
	x.t.Helper()
	r := x.chat(`{"prompt":"charge order A-1 12.50","agent":"asking"}`)
	p := as[Pending](x.t, r, 202)
	if p.State != session.Waiting || p.Waiting == nil || p.Waiting.Reason != session.WaitApproval || len(p.Waiting.Asks) != 1 {
		x.t.Fatalf("%s", r.body)
	}
	return p.Turn, p.Waiting.Asks[0]
}

// refused checks that an answer is a problem that blames the request.
func refused(t *testing.T, r reply) {
	t.Helper()
	if r.StatusCode < 400 || r.StatusCode > 499 {
		t.Fatalf("%s: %d %s", r.Request.URL, r.StatusCode, r.body)
	}
	problem(t, r, r.StatusCode, as[Problem](t, r, r.StatusCode).Code)
}

func TestAYesLetsExactlyWhatWasShownHappen(t *testing.T) {
	x, calls := askSite(t)
	turn, ask := x.asked()
	if ask.Step == "" || ask.Name != "charge_card" || !strings.Contains(string(ask.Args), "A-1") || ask.Digest == "" || ask.Until <= session.Millis(time.Now().UnixMilli()) || len(ask.Roles) != 1 || ask.Roles[0] != "treasurer" {
		t.Errorf("%+v", ask)
	}
	if i := as[agentkernel.TurnInfo](t, x.do("GET", "/api/v1/turns/"+turn, ""), 200); i.Waiting == nil || len(i.Waiting.Asks) != 1 || i.Waiting.Asks[0].Digest != ask.Digest {
		t.Errorf("%+v", i)
	}
	path := "/api/v1/turns/" + turn
	refused(t, x.do("POST", path+"/approve", `{"digest":"`+strings.Repeat("0", len(ask.Digest))+`"}`))
	refused(t, x.do("POST", path+"/approve", `{"step":"m9.c9"}`))
	problem(t, x.do("POST", path+"/resolve", `{"outcome":"happened"}`), 409, fault.Conflict)
	if i := x.settled(turn); i.State != session.Waiting {
		t.Fatalf("%+v", i)
	}
	r := x.do("POST", path+"/approve", `{"step":"`+ask.Step+`","digest":"`+ask.Digest+`","note":"seen"}`)
	if r.StatusCode != 202 && r.StatusCode != 200 { // 200: it has ended already
		t.Fatalf("%d %s", r.StatusCode, r.body)
	}
	if i := x.settled(turn); i.State != session.Completed || !strings.Contains(*i.Result, "charged after a yes") {
		t.Errorf("%+v", i)
	}
	if c := until(t, calls, "the call"); !strings.Contains(string(c.Args), "A-1") || len(calls) != 0 {
		t.Errorf("%+v and %d more", c, len(calls))
	}
	for _, verb := range []string{"approve", "deny"} {
		problem(t, x.do("POST", path+"/"+verb, ""), 409, fault.Conflict)
	}
}

func TestANoIsToldToTheModelAndNothingHappens(t *testing.T) {
	x, calls := askSite(t)
	for _, body := range []string{"", "{}", `{"note":"not this month"}`} {
		turn, _ := x.asked()
		r := x.do("POST", "/api/v1/turns/"+turn+"/deny", body)
		if r.StatusCode != 202 && r.StatusCode != 200 {
			t.Fatalf("%d %s", r.StatusCode, r.body)
		}
		i := x.settled(turn)
		if i.State != session.Completed || len(calls) != 0 {
			t.Errorf("%+v, %d calls", i, len(calls))
		}
		if b := string(x.do("GET", "/api/v1/sessions/"+i.Session+"/messages", "").body); strings.Contains(body, "note") && !strings.Contains(b, "not this month") {
			t.Errorf("%s", b)
		}
	}
}

func TestBadDecisionsAreRefused(t *testing.T) {
	x, calls := askSite(t)
	turn, _ := x.asked()
	done := as[ChatReply](t, x.chat(`{"prompt":"hello"}`), 200).Turn
	long := strings.Repeat("n", 5000)
	for _, verb := range []string{"approve", "deny"} {
		path := "/api/v1/turns/" + turn + "/" + verb
		for body, says := range map[string]string{
			`{`:                               "body: ",
			`[]`:                              "body: expected object",
			`"yes"`:                           "body: expected object",
			`{"step":1}`:                      "body.step",
			`null`:                            "body: expected object",
			`{"digest":[]}`:                   "body.digest",
			`{"digest":"` + long:              "body: ",
			`{"digest":"` + long[:129] + `"}`: "body.digest",
			`{"step":"` + long[:513] + `"}`:   "body.step",
			`{"note":"` + long + `"}`:         "body.note",
			`{"nota":"x"}`:                    "nota",
		} {
			p := problem(t, x.do("POST", path, body), 400, fault.BadRequest)
			if !strings.Contains(p.Detail, says) {
				t.Errorf("%s %.50s: %q does not say %q", verb, body, p.Detail, says)
			}
		}
		problem(t, x.do("POST", path, `{}`, "Content-Type", "text/plain"), 415, fault.Unsupported)
		problem(t, x.do("POST", path+"?step=x", ``), 400, fault.BadRequest)
		problem(t, x.do("POST", path, ``, "Origin", "https://elsewhere.example"), 403, fault.BadRequest)
		problem(t, x.do("POST", "/api/v1/turns/"+done+"/"+verb, ""), 409, fault.Conflict)
	}
	if i := x.settled(turn); i.State != session.Waiting || len(calls) != 0 {
		t.Errorf("%+v", i)
	}
}

// turnstile answers each call of a model with the next text that it is given.
type turnstile struct {
	asked chan struct{}
	texts chan string
}

func (m *turnstile) Generate(ctx context.Context, _ *model.Request, _ func(model.Chunk)) (*model.Answer, error) {
	m.asked <- struct{}{}
	select {
	case <-ctx.Done():
		return nil, fault.New(fault.Cancelled, "", "stopped")
	case text := <-m.texts:
		return &model.Answer{Message: model.Message{Role: model.Assistant, Parts: []model.Part{{Text: text}}}, Finish: model.FinishStop}, nil
	}
}

func TestARequestThatIsToldToTheRunningTurnSaysSo(t *testing.T) {
	m := &turnstile{asked: make(chan struct{}, 8), texts: make(chan string)}
	x := newSite(t, func(c *agentkernel.Config, _ *Config) {
		c.Models["turnstile"] = m
		c.Agents = append(c.Agents, &agentkernel.Agent{Name: "steered", Model: "turnstile/one", Busy: agentkernel.Steer})
	})
	const body = `{"prompt":"hello","agent":"steered","session_id":"s"}`
	first, last := make(chan reply, 1), make(chan reply, 1)
	go func() { first <- x.chat(body) }()
	until(t, m.asked, "the model to be asked")
	turn := as[TurnList](t, x.do("GET", "/api/v1/turns?session_id=s", ""), 200).Turns[0].ID
	told := as[Pending](t, x.chat(`{"prompt":"and one more thing","agent":"steered","session_id":"s"}`, "Prefer", "respond-async"), 202)
	if !told.Steered || told.Turn != turn {
		t.Fatalf("%+v, not told to %s", told, turn)
	}
	gone := x.open("POST", "/api/v1/chat", `{"prompt":"and another","agent":"steered","session_id":"s"}`, "Prefer", "cancel-on-disconnect")
	gone.stop() // the turn is another request's
	go func() { last <- x.chat(`{"prompt":"and the last","agent":"steered","session_id":"s"}`) }()
	for n := 0; n < 2; {
		select {
		case m.texts <- "so be it":
		case r := <-first:
			n++
			if a := as[ChatReply](t, r, 200); a.Steered || a.Turn != turn {
				t.Errorf("%+v", a)
			}
		case r := <-last: // told to the turn, or a turn of its own when that had ended
			n++
			if a := as[ChatReply](t, r, 200); a.Steered != (a.Turn == turn) {
				t.Errorf("%+v", a)
			}
		case <-time.After(patience):
			t.Fatal("waited in vain for the answers")
		}
	}
}

func TestAnAnswerSaysWhoGaveItWhatItCostAndInWhatItIsLess(t *testing.T) {
	x := newSite(t)
	text := "yes"
	i := &agentkernel.TurnInfo{
		ID: "s~1.1.0.5d41402a", Session: "s", Agent: "first", State: session.Completed, Result: &text, Value: json.RawMessage(`{"ok":true}`),
		AnsweredBy: "second", Cost: 0.0125, Degraded: []session.Degraded{{What: "limits.steps", Why: "the turn took 24 steps"}},
	}
	b, err := json.Marshal(chatReply(i, true))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"answered_by":"second"`, `"cost_usd":0.0125`, `"degraded":[{"what":"limits.steps","why":"the turn took 24 steps"}]`, `"value":{"ok":true}`, `"steered":true`, `"result":"yes"`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %s in %s", want, b)
		}
	}
	plain := string(x.chat(`{"prompt":"hello"}`).body)
	for _, empty := range []string{"answered_by", "cost_usd", "degraded", "value", "steered"} {
		if strings.Contains(plain, empty) {
			t.Errorf("%s in %s", empty, plain)
		}
	}
}

func TestADegradedAnswerIsAnnounced(t *testing.T) {
	less := agentkernel.RunnerFunc(func(context.Context, *agentkernel.Turn) (agentkernel.Reply, error) {
		return agentkernel.Reply{Text: "roughly", Value: json.RawMessage(`{"n":1}`), Degraded: []session.Degraded{{What: "cache", Why: "the source is down"}}}, nil
	})
	x := newSite(t, func(c *agentkernel.Config, _ *Config) {
		c.Agents = append(c.Agents, &agentkernel.Agent{Name: "less", Runner: less})
	})
	a := as[ChatReply](t, x.chat(`{"prompt":"hello","agent":"less"}`), 200)
	if len(a.Degraded) != 1 || a.Degraded[0].What != "cache" || string(a.Value) != `{"n":1}` {
		t.Errorf("%+v", a)
	}
	i := as[agentkernel.TurnInfo](t, x.do("GET", "/api/v1/turns/"+a.Turn, ""), 200)
	if len(i.Degraded) != 1 || i.Degraded[0].Why != "the source is down" {
		t.Errorf("%+v", i)
	}
}

func TestACostIsTold(t *testing.T) {
	x, _ := lookSite(t, func(c *agentkernel.Config, _ *Config) {
		c.ModelInfo = map[string]agentkernel.ModelInfo{"look/one": {Input: 2, Output: 4}}
	})
	a := as[ChatReply](t, x.chat(`{"prompt":"hello"}`), 200)
	if a.Cost < 0.00399 || a.Cost > 0.00401 { // 1000 tokens in, 500 out
		t.Errorf("%+v", a)
	}
}

func TestDecisionsAndStreamsAreForTheTenantAndTheRoles(t *testing.T) {
	x, keys := guarded(t, func(c *agentkernel.Config, _ *Config) {
		c.Agents = append(c.Agents, &agentkernel.Agent{Name: "asking", Runner: agentkernel.RunnerFunc(func(ctx context.Context, t *agentkernel.Turn) (agentkernel.Reply, error) {
			a, err := t.Await(ctx, "may I", map[string]int{"n": 1}, agentkernel.Approval{})
			return agentkernel.Reply{Text: a.By}, err
		})})
	})
	r := x.form(form(t, fieldPart("prompt", "hello"), fieldPart("agent", "asking"), fieldPart("session_id", "s")), "X-API-Key", keys["user"])
	turn := as[Pending](t, r, 202).Turn
	approve := "/api/v1/turns/" + turn + "/approve"
	problem(t, x.do("POST", approve, ""), 401, fault.Unauthenticated)
	problem(t, x.do("POST", approve, "", "X-API-Key", keys["user"]), 403, fault.Forbidden)
	problem(t, x.do("POST", approve, "", "X-API-Key", keys["other"]), 410, fault.LostByStore)
	problem(t, x.do("GET", "/api/v1/sessions/s/events", "", "X-API-Key", keys["other"]), 404, fault.NotFound)
	problem(t, x.do("GET", "/api/v1/sessions/s/events", ""), 401, fault.Unauthenticated)
	s := x.open("GET", "/api/v1/sessions/s/events", "", "X-API-Key", keys["user"])
	if r := x.do("POST", approve, "", "X-API-Key", keys["approver"]); r.StatusCode != 202 && r.StatusCode != 200 {
		t.Fatalf("%d %s", r.StatusCode, r.body)
	}
	events := s.ended()
	if last := events[len(events)-1]; !strings.Contains(last.data, `"result":"`) || !strings.Contains(last.data, "approver") {
		t.Errorf("%+v", last)
	}
}
