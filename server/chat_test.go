package server

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

func TestAChatIsAnsweredAndRemembered(t *testing.T) {
	x := newSite(t)
	r := x.chat(`{"prompt":"My name is Ada."}`)
	first := as[ChatReply](t, r, 200)
	if first.Result != "Nice to meet you, Ada. I will remember your name." || first.Agent != "scripted" || first.State != session.Completed || first.Output == 0 {
		t.Errorf("%s", r.body)
	}
	if r.Header.Get("AK-Turn-Id") != first.Turn || r.Header.Get("AK-Session-Id") != first.Session || r.Header.Get("Content-Type") != "application/json" {
		t.Errorf("headers %v", r.Header)
	}
	second := as[ChatReply](t, x.chat(`{"prompt":"What is my name?","agent":"scripted","session_id":"`+first.Session+`"}`), 200)
	if second.Result != "Your name is Ada." || second.Session != first.Session || second.Turn == first.Turn {
		t.Errorf("%+v", second)
	}
	third := as[ChatReply](t, x.chat(`{"prompt":"What is my name?","agent":null,"session_id":null}`), 200)
	if third.Session == first.Session || third.Result != "You have not told me your name yet." {
		t.Errorf("%+v", third)
	}
}

func TestFurtherFieldsAreKeptForHooksAndNotShownToTheModel(t *testing.T) {
	x := newSite(t)
	as[ChatReply](t, x.chat(`{"prompt":"hello","session_id":"s","zeta":{"b":1,"a":[10000000000000001,null]},"Prompt":"other case","alpha":"x"}`), 200)
	page := as[JournalPage](t, x.do("GET", "/api/v1/sessions/s/journal", ""), 200)
	if got, want := string(page.Records[0].Events[0].Accepted.Extra), `{"Prompt":"other case","alpha":"x","zeta":{"a":[10000000000000001,null],"b":1}}`; got != want {
		t.Errorf("extra is %s, not %s", got, want)
	}
	messages := x.do("GET", "/api/v1/sessions/s/messages", "")
	if strings.Contains(string(messages.body), "other case") {
		t.Errorf("%s", messages.body)
	}
}

func TestTheSameKeyIsTheSameTurn(t *testing.T) {
	x := newSite(t)
	const body = `{"prompt":"hello","mode":{"a":1,"b":2}}`
	saved := x.chat(body, "Idempotency-Key", "k1")
	first := as[ChatReply](t, saved, 200)
	for _, same := range []string{body, `{ "mode" : {"b":2,"a":1}, "prompt":"hello" }`, `{"prompt":"hello","mode":{"a":1,"b":2},"agent":"scripted"}`} {
		if again := x.chat(same, "Idempotency-Key", "k1"); again.StatusCode != 200 || string(again.body) != string(saved.body) {
			t.Errorf("%s: %d %s, not %s", same, again.StatusCode, again.body, saved.body)
		}
	}
	for _, other := range []string{`{"prompt":"hello!","mode":{"a":1,"b":2}}`, `{"prompt":"hello"}`, `{"prompt":"hello","mode":{"a":1,"b":2},"agent":"paying"}`} {
		problem(t, x.chat(other, "Idempotency-Key", "k1"), 422, fault.KeyMismatch)
	}
	async := as[Pending](t, x.chat(body, "Idempotency-Key", "k1", "Prefer", "respond-async"), 202)
	if async.Turn != first.Turn || async.State != session.Completed {
		t.Errorf("%+v", async)
	}
	if turns := as[TurnList](t, x.do("GET", "/api/v1/turns", ""), 200); len(turns.Turns) != 1 {
		t.Errorf("%d turns", len(turns.Turns))
	}
}

func TestAFailedTurnIsAProblemAndSoIsItsReplay(t *testing.T) {
	x := newSite(t)
	for _, c := range []struct {
		agent, retryAfter string
		status            int
		code              fault.Kind
		afterMS           int64
	}{
		{"broken", "2", 503, fault.Throttled, 1500},
		{"refusing", "", 422, fault.Refused, 0},
	} {
		var turns [2]string
		for i := range turns {
			r := x.chat(`{"prompt":"hello","agent":"`+c.agent+`"}`, "Idempotency-Key", "key of "+c.agent)
			p := problem(t, r, c.status, c.code)
			if got := r.Header.Get("Retry-After"); got != c.retryAfter || p.RetryAfterMS != c.afterMS {
				t.Errorf("%s: Retry-After %q, retry_after_ms %d", c.agent, got, p.RetryAfterMS)
			}
			if p.TurnID == "" || p.SessionID == "" || p.TurnID != r.Header.Get("AK-Turn-Id") || !strings.Contains(p.Try, p.TurnID+"/retry") {
				t.Errorf("%s: %s", c.agent, r.body)
			}
			turns[i] = p.TurnID
		}
		if turns[0] != turns[1] {
			t.Errorf("%s: the replay is turn %s, not %s", c.agent, turns[1], turns[0])
		}
		shown := as[agentkernel.TurnInfo](t, x.do("GET", "/api/v1/turns/"+turns[0], ""), 200)
		if shown.State != session.Failed || shown.Error.Kind != c.code {
			t.Errorf("%s: %+v", c.agent, shown)
		}
	}
}

func TestWhoDoesNotWaitGetsThePlaceToLook(t *testing.T) {
	for name, c := range map[string]struct {
		prefer []string
		config time.Duration
	}{
		"respond-async":           {prefer: []string{"Prefer", "respond-async"}},
		"among others":            {prefer: []string{"Prefer", "handling=strict; x=1, Respond-Async"}},
		"wait=0":                  {prefer: []string{"Prefer", "wait=0"}},
		"wait=1":                  {prefer: []string{"Prefer", `wait="1"`}},
		"respond-async with wait": {prefer: []string{"Prefer", "respond-async", "Prefer", "wait=1"}},
		"the server's bound":      {prefer: []string{"Prefer", "wait=100"}, config: time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			x := newSite(t, func(_ *agentkernel.Config, sc *Config) { sc.SyncTimeout = c.config })
			r := x.chat(`{"prompt":"hello","agent":"held"}`, c.prefer...)
			p := as[Pending](t, r, 202)
			if p.State.Ended() || p.Turn == "" || p.Session == "" || p.Agent != "held" || r.Header.Get("Location") != "/api/v1/turns/"+p.Turn {
				t.Errorf("%s %v", r.body, r.Header)
			}
			until(t, x.holding, "the turn to run")
			x.hold <- struct{}{}
			x.settled(p.Turn)
			if i := as[agentkernel.TurnInfo](t, x.do("GET", r.Header.Get("Location"), ""), 200); i.Result == nil || *i.Result != "released" {
				t.Errorf("%+v", i)
			}
		})
	}
}

func TestATurnThatWaitsIsSaidToWaitAndGoesOnWhenResolved(t *testing.T) {
	x := newSite(t)
	r := x.chat(`{"prompt":"charge order A-1 12.50","agent":"paying","session_id":"p"}`, "Idempotency-Key", "pay")
	p := as[Pending](t, r, 202)
	if p.State != session.Waiting || p.Waiting == nil || p.Waiting.Reason != session.WaitInDoubt || r.Header.Get("Location") != "/api/v1/turns/"+p.Turn {
		t.Fatalf("%s %v", r.body, r.Header)
	}
	behind := as[Pending](t, x.chat(`{"prompt":"hello","agent":"paying","session_id":"p"}`), 202)
	if behind.State != session.Accepted || behind.Behind != p.Turn || behind.Waiting == nil || behind.Waiting.Reason != session.WaitInDoubt {
		t.Errorf("%+v", behind)
	}
	res := x.do("POST", "/api/v1/turns/"+p.Turn+"/resolve", `{"outcome":"happened","result":"charged once","note":"seen in the ledger"}`)
	status := 202
	if res.StatusCode == 200 {
		status = 200 // the turn was faster than the answer
	}
	as[agentkernel.TurnInfo](t, res, status)
	if status == 202 && res.Header.Get("Location") != "/api/v1/turns/"+p.Turn {
		t.Errorf("%v", res.Header)
	}
	done := as[ChatReply](t, x.chat(`{"prompt":"charge order A-1 12.50","agent":"paying","session_id":"p"}`, "Idempotency-Key", "pay"), 200)
	if done.Turn != p.Turn || !strings.Contains(done.Result, "charged once") {
		t.Errorf("%+v", done)
	}
	if i := x.settled(behind.Turn); i.State != session.Completed {
		t.Errorf("%+v", i)
	}
}

func TestAFullQueueIsARefusalForNow(t *testing.T) {
	x := newSite(t)
	p := as[Pending](t, x.chat(`{"prompt":"hello","agent":"small","session_id":"q"}`, "Prefer", "respond-async"), 202)
	r := x.chat(`{"prompt":"hello again","agent":"small","session_id":"q"}`)
	refused := problem(t, r, 429, fault.Limited)
	if r.Header.Get("Retry-After") != "1" || refused.RetryAfterMS != 1000 || refused.TurnID != "" {
		t.Errorf("%s %v", r.body, r.Header)
	}
	until(t, x.holding, "the turn to run")
	x.hold <- struct{}{}
	x.settled(p.Turn)
}

// leave makes a chat request, waits until its turn runs, and disconnects.
func (x *site) leave(header ...string) (turn string) {
	x.t.Helper()
	ctx, cancel := context.WithCancel(x.t.Context())
	gone := make(chan struct{})
	req := x.request(ctx, "POST", "/api/v1/chat", `{"prompt":"hello","agent":"held","session_id":"d"}`, header...)
	go func() {
		defer close(gone)
		if res, err := http.DefaultClient.Do(req); err == nil {
			for err == nil {
				_, err = res.Body.Read(make([]byte, 1024))
			}
			res.Body.Close()
		}
	}()
	until(x.t, x.holding, "the turn to run")
	cancel()
	until(x.t, gone, "the client to be gone")
	list := as[TurnList](x.t, x.do("GET", "/api/v1/turns?session_id=d", ""), 200)
	return list.Turns[0].ID
}

func TestAClientThatDisconnectsEndsNothing(t *testing.T) {
	for _, accept := range []string{"application/json", "text/event-stream"} {
		x := newSite(t)
		turn := x.leave("Accept", accept)
		x.hold <- struct{}{}
		if i := x.settled(turn); i.State != session.Completed || *i.Result != "released" {
			t.Errorf("%s: %+v", accept, i)
		}
	}
}

func TestAClientThatSaidSoCancelsByDisconnecting(t *testing.T) {
	for _, accept := range []string{"application/json", "text/event-stream"} {
		x := newSite(t)
		turn := x.leave("Accept", accept, "Prefer", "cancel-on-disconnect")
		until(t, x.stopped, "the runner to be stopped")
		if i := x.settled(turn); i.State != session.Cancelled {
			t.Errorf("%s: %+v", accept, i)
		}
		problem(t, x.do("POST", "/api/v1/turns/"+turn+"/resolve", `{"outcome":"happened"}`), 409, fault.Conflict)
	}
}

func TestAnAgentMayCancelWhatNobodyWaitsFor(t *testing.T) {
	for _, c := range []struct {
		accept, prefer string
		want           session.TurnState
	}{
		{"application/json", "", session.Cancelled},
		{"text/event-stream", "", session.Cancelled},
		{"application/json", "wait=100", session.Cancelled},
		{"application/json", "continue-on-disconnect", session.Completed},
		{"text/event-stream", "continue-on-disconnect", session.Completed},
	} {
		x := newSite(t, cancelling)
		turn := x.leave("Accept", c.accept, "Prefer", c.prefer)
		if c.want == session.Cancelled {
			until(t, x.stopped, "the runner to be stopped")
		} else {
			x.hold <- struct{}{}
		}
		if i := x.settled(turn); i.State != c.want {
			t.Errorf("%+v: %s", c, i.State)
		}
	}
	x := newSite(t, cancelling)
	p := as[Pending](t, x.chat(`{"prompt":"hello","agent":"held"}`, "Prefer", "respond-async"), 202) // it does not wait
	until(t, x.holding, "the turn to run")
	x.hold <- struct{}{}
	if i := x.settled(p.Turn); i.State != session.Completed {
		t.Errorf("%s", i.State)
	}
}

func cancelling(c *agentkernel.Config, _ *Config) {
	for _, a := range c.Agents {
		a.OnDisconnect = agentkernel.CancelTurn
	}
}

func TestACancelledTurnIsAProblemForWhoWaitsForIt(t *testing.T) {
	x := newSite(t)
	waiter := make(chan reply, 1)
	go func() { waiter <- x.chat(`{"prompt":"hello","agent":"held","session_id":"c"}`) }()
	until(t, x.holding, "the turn to run")
	turn := as[TurnList](t, x.do("GET", "/api/v1/turns?session_id=c", ""), 200).Turns[0].ID
	if r := x.do("POST", "/api/v1/turns/"+turn+"/cancel", ""); r.StatusCode != 200 && r.StatusCode != 202 {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
	p := problem(t, until(t, waiter, "the answer"), fault.StatusCancelled, fault.Cancelled)
	if p.TurnID != turn {
		t.Errorf("%+v", p)
	}
	as[agentkernel.TurnInfo](t, x.do("POST", "/api/v1/turns/"+turn+"/cancel", ""), 200)
}

func TestAfterADrainNothingIsTakenAndTheProbesSaySo(t *testing.T) {
	x := newSite(t)
	if r := x.do("GET", "/readyz", ""); r.StatusCode != 200 {
		t.Fatalf("%d %s", r.StatusCode, r.body)
	}
	if err := x.k.Drain(t.Context(), 0, time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if p := as[Probe](t, x.do("GET", "/readyz", ""), 503); p.OK || p.Runtime != "draining" {
		t.Errorf("%+v", p)
	}
	if h := as[HealthReply](t, x.do("GET", "/health", ""), 503); h.Status != "unhealthy" || h.Runtime != "draining" {
		t.Errorf("%+v", h)
	}
	as[Probe](t, x.do("GET", "/livez", ""), 200)
	r := x.chat(`{"prompt":"hello"}`)
	problem(t, r, 503, fault.Unavailable)
	if r.Header.Get("Retry-After") == "" {
		t.Errorf("%v", r.Header)
	}
}

func TestWhoWaitsAtALeavingReplicaIsToldWhereToLook(t *testing.T) {
	x := newSite(t)
	waiter := make(chan reply, 1)
	go func() { waiter <- x.chat(`{"prompt":"hello","agent":"held"}`) }()
	until(t, x.holding, "the turn to run")
	x.s.Leave()
	p := as[Pending](t, until(t, waiter, "the answer"), 202)
	if p.State != session.Running {
		t.Errorf("%+v", p)
	}
	x.hold <- struct{}{}
	x.settled(p.Turn)
}

func TestAStoppedKernelDoesNotUnacceptATurn(t *testing.T) {
	x := newSite(t)
	waiter := make(chan reply, 1)
	go func() { waiter <- x.chat(`{"prompt":"hello","agent":"held"}`) }()
	until(t, x.holding, "the turn to run")
	_ = x.k.Close()
	until(t, x.stopped, "the runner to be stopped")
	r := until(t, waiter, "the answer")
	if p := as[Pending](t, r, 202); p.Turn == "" || r.Header.Get("Location") != "/api/v1/turns/"+p.Turn {
		t.Errorf("%s", r.body)
	}
}

func TestPreferencesAreReadAsRFC7240Says(t *testing.T) {
	for header, want := range map[string]string{
		"":                              "",
		"respond-async":                 "async",
		"RESPOND-ASYNC , wait = 10":     "async wait 10s",
		`wait="5"; x=y`:                 "wait 5s",
		"wait=3, wait=9":                "wait 3s",
		"wait=-1":                       "",
		"wait=soon, wait":               "",
		"wait=99999999999999":           "",
		"cancel-on-disconnect, unknown": "cancel",
		"Continue-On-Disconnect":        "go on",
		"continue-on-disconnect, cancel-on-disconnect": "go on",
		"cancel-on-disconnect, continue-on-disconnect": "cancel",
		",,;=,\"": "",
	} {
		p := parsePrefer([]string{header})
		var got []string
		if p.async {
			got = append(got, "async")
		}
		if p.cancel {
			got = append(got, "cancel")
		}
		if p.goOn {
			got = append(got, "go on")
		}
		if p.wait != nil {
			got = append(got, "wait "+p.wait.String())
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %v, not %s", header, got, want)
		}
	}
}

func TestOnlyWhoPrefersAStreamGetsOne(t *testing.T) {
	for accept, want := range map[string]bool{
		"": false, "*/*": false, "application/json": false, "text/*": false, ";;": false,
		"text/event-stream":                         true,
		"TEXT/Event-Stream; charset=utf-8":          true,
		"text/event-stream, application/json":       true,
		"application/json, text/event-stream":       false,
		"application/json;q=0.5, text/event-stream": true,
		"text/event-stream;q=0.5, application/json": false,
		"text/event-stream;q=0":                     false,
		"text/event-stream;q=x":                     false,
		"text/html, text/event-stream;q=0.1, */*":   true,
	} {
		if got := wantsStream([]string{accept}); got != want {
			t.Errorf("%q: %v", accept, got)
		}
	}
}
