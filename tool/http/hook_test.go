package httptool

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/store/memory"
)

func hookSpec(url string) HookSpec {
	return HookSpec{Name: "guard", Timeout: 5 * time.Second, Request: Request{URL: url, Headers: map[string]string{"X-Key": "canary-hook"}}}
}

// turned runs one turn of an agent that answers "yes", or what schema wants, in a real kernel.
func turned(t *testing.T, h agentkernel.Hook, schema string) (session.Reply, string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(background(), 30*time.Second)
	defer cancel()
	asked := ""
	a := &agentkernel.Agent{
		Name: "helper", Model: "none/m", Hooks: []agentkernel.Hook{h}, OutputSchema: json.RawMessage(schema),
		Runner: agentkernel.RunnerFunc(func(_ context.Context, turn *agentkernel.Turn) (agentkernel.Reply, error) {
			asked = turn.Input().Text()
			return agentkernel.Reply{Text: "yes", Degraded: []session.Degraded{{What: "a", Why: "b"}}}, nil
		}),
	}
	k, err := agentkernel.Open(ctx, memory.New(), agentkernel.Config{Models: map[string]model.Provider{}, Agents: []*agentkernel.Agent{a}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = k.Close() }()
	handle, err := k.Start(ctx, agentkernel.Request{Tenant: "acme", Session: "s1", Prompt: "is it <so>?", Extra: json.RawMessage(`{"lang":"en"}`)})
	if err != nil {
		t.Fatal(err)
	}
	reply, failed := handle.Wait(ctx)
	info, err := handle.Info(ctx)
	if err != nil {
		t.Fatal(err)
	}
	reply.Degraded = info.Degraded
	return reply, asked, failed
}

func before(t *testing.T, spec HookSpec) agentkernel.Hook {
	t.Helper()
	h, err := client(t, hostOf(spec.Request.URL)).HookBefore(spec)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func after(t *testing.T, spec HookSpec) agentkernel.Hook {
	t.Helper()
	h, err := client(t, hostOf(spec.Request.URL)).HookAfter(spec)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		if status != http.StatusNoContent {
			_, _ = w.Write([]byte(body))
		}
	}
}

func TestAHookIsToldOfTheTurn(t *testing.T) {
	s := serve(t, says(200, "{}"))
	for name, h := range map[string]agentkernel.Hook{"before": before(t, hookSpec(s.URL+"/x?a=1")), "after": after(t, hookSpec(s.URL+"/x?a=1"))} {
		t.Run(name, func(t *testing.T) {
			reply, asked, err := turned(t, h, "")
			if err != nil || reply.Text != "yes" || asked != "is it <so>?" {
				t.Fatalf("reply %+v, agent asked %q, %v", reply, asked, err)
			}
			all := s.requests()
			r := all[len(all)-1]
			var got map[string]any
			if err := json.Unmarshal([]byte(r.body), &got); err != nil {
				t.Fatal(err)
			}
			want := map[string]any{
				"session_id": "s1", "tenant": "acme", "turn_id": r.header.Get("AK-Turn-Id"), "agent": "helper",
				"prompt": "is it <so>?", "extra": map[string]any{"lang": "en"},
			}
			if name == "after" {
				want["reply"] = "yes"
			}
			if fmt.Sprint(got) != fmt.Sprint(want) || got["turn_id"] == "" {
				t.Errorf("sent %v, want %v", got, want)
			}
			if r.method != "POST" || r.uri != "/x?a=1" || r.header.Get("X-Key") != "canary-hook" || r.header.Get("Idempotency-Key") == "" ||
				r.header.Get("Content-Type") != "application/json" {
				t.Errorf("sent %+v", r)
			}
		})
	}
}

func TestAHookBeforeATurnMayAnswerNoteOrRefuse(t *testing.T) {
	for name, try := range map[string]struct {
		status int
		body   string
		reply  string // empty means an error
		asked  bool
		kind   fault.Kind
		text   string
	}{
		"nothing":     {200, " {} \n", "yes", true, "", ""},
		"no content":  {204, "", "yes", true, "", ""},
		"nulls":       {200, `{"reply":null,"note":null,"refuse":null}`, "yes", true, "", ""},
		"created":     {201, `{}`, "yes", true, "", ""},
		"note":        {200, `{"note":"be brief"}`, "yes", true, "", ""},
		"answer":      {200, `{"reply":"no need to ask"}`, "no need to ask", false, "", ""},
		"refusal":     {200, `{"refuse":"not today"}`, "", false, fault.Refused, "hook guard refused: not today"},
		"no reason":   {200, `{"refuse":""}`, "", false, fault.Refused, "no reason"},
		"misspelt":    {200, `{"refused":"x"}`, "", false, fault.Malformed, "reply, note or refuse"},
		"two":         {200, `{"note":"a","refuse":"b"}`, "", false, fault.Malformed, "more than one"},
		"empty reply": {200, `{"reply":""}`, "", false, fault.Malformed, "empty"},
		"other type":  {200, `{"reply":{"text":"x"}}`, "", false, fault.Malformed, "each a text"},
		"no JSON":     {200, `ok`, "", false, fault.Malformed, "no JSON object"},
		"list":        {200, `[]`, "", false, fault.Malformed, "no JSON object"},
		"empty":       {200, ``, "", false, fault.Malformed, "no JSON object"},
		"cut":         {200, `{"note":"a`, "", false, fault.Malformed, "reply, note or refuse"},
		"more":        {200, `{} {}`, "", false, fault.Malformed, "follows"},
		"large":       {200, `{"note":"` + strings.Repeat("a", maxHookAnswer) + `"}`, "", false, fault.TooLarge, "more than"},
		"not found":   {404, `canary-body`, "", false, fault.Invalid, "status 404"},
		"forbidden":   {403, `{}`, "", false, fault.Auth, "status 403"},
		"busy":        {429, `{}`, "", false, fault.Throttled, "status 429"},
		"broken":      {500, `{}`, "", false, fault.Transient, "status 500"},
		"elsewhere":   {302, `{}`, "", false, fault.Invalid, "status 302"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, says(try.status, try.body))
			reply, asked, err := turned(t, before(t, hookSpec(s.URL)), "")
			if (asked != "") != try.asked {
				t.Errorf("the agent was asked %q", asked)
			}
			if try.reply != "" && (err != nil || reply.Text != try.reply) {
				t.Fatalf("reply %+v, %v", reply, err)
			}
			if try.reply == "" {
				failsWith(t, err, try.kind, try.text)
			}
		})
	}
}

// failsWith fails unless a turn failed as it should, and without a secret in its words.
func failsWith(t *testing.T, err error, kind fault.Kind, text string) {
	t.Helper()
	if fault.KindOf(err) != kind || !strings.Contains(err.Error(), text) || !strings.Contains(err.Error(), "guard") {
		t.Errorf("the turn ended with %v (%s), want %s with %q", err, fault.KindOf(err), kind, text)
	}
	if err != nil && strings.Contains(err.Error(), "canary") {
		t.Errorf("the error shows what it must not: %v", err)
	}
}

func TestAHookAfterATurnMayReplaceOrRefuseItsReply(t *testing.T) {
	const number = `{"type":"object","properties":{"n":{"type":"number"}},"required":["n"]}`
	for name, try := range map[string]struct {
		body, schema, reply, value string
		kind                       fault.Kind
		text                       string
	}{
		"nothing":      {`{}`, "", "yes", "", "", ""},
		"other reply":  {`{"reply":"perhaps"}`, "", "perhaps", "", "", ""},
		"refusal":      {`{"refuse":"too bold"}`, "", "", "", fault.Refused, "too bold"},
		"note":         {`{"note":"x"}`, "", "", "", fault.Malformed, "answered already"},
		"document":     {`{"reply":"{\"n\":5}"}`, number, `{"n":5}`, `{"n":5}`, "", ""},
		"does not fit": {`{"reply":"{\"n\":\"x\"}"}`, number, "", "", fault.Malformed, "output_schema"},
		"no document":  {`{"reply":"five"}`, number, "", "", fault.Malformed, "output_schema"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, says(200, try.body))
			reply, _, err := turned(t, after(t, hookSpec(s.URL)), try.schema)
			if try.reply == "" {
				failsWith(t, err, try.kind, try.text)
				return
			}
			if err != nil || reply.Text != try.reply || string(reply.Value) != try.value || len(reply.Degraded) != 1 {
				t.Errorf("reply %+v, %v", reply, err)
			}
		})
	}
}

func TestATurnDoesNotPassAHookThatGivesNoAnswer(t *testing.T) {
	hang := make(chan struct{})
	slow := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	})
	half := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(`{"note":`))
		_ = http.NewResponseController(w).Flush()
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	})
	torn := listen(t, func(_ int, c net.Conn) bool {
		_, _ = c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"))
		return false
	})
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + closed.Addr().String()
	_ = closed.Close()
	t.Cleanup(func() { close(hang) })
	for name, try := range map[string]struct {
		url  string
		kind fault.Kind
		text string
	}{
		"slow": {slow.URL + "/?token=canary-token", fault.TimeoutTotal, "gave no answer"}, "half": {half.URL, fault.TimeoutTotal, "gave no answer"},
		"torn": {torn.url(), fault.Truncated, "broke off"}, "nobody": {nobody, fault.Transient, "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			spec := hookSpec(try.url)
			if try.kind == fault.TimeoutTotal {
				spec.Timeout = 50 * time.Millisecond
			}
			_, asked, err := turned(t, before(t, spec), "")
			failsWith(t, err, try.kind, try.text)
			if asked != "" {
				t.Error("the agent was asked although the hook did not answer")
			}
			_, _, err = turned(t, after(t, spec), "")
			failsWith(t, err, try.kind, try.text)
		})
	}
}

func TestAHookStaysWithinTheAllowList(t *testing.T) {
	s := serve(t, says(200, "{}"))
	h, err := client(t, "example.com").HookBefore(hookSpec(s.URL))
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = turned(t, h, "")
	failsWith(t, err, fault.Config, "not in the list")
	if len(s.requests()) != 0 {
		t.Error("a request was sent")
	}
}

func TestTheSameQuestionHasTheSameKey(t *testing.T) {
	s := serve(t, says(200, "{}"))
	h, err := client(t, hostOf(s.URL)).hook(hookSpec(s.URL))
	if err != nil {
		t.Fatal(err)
	}
	for _, prompt := range []string{"a", "a", "b"} {
		if _, err := h.ask(background(), about{Prompt: prompt}); err != nil {
			t.Fatal(err)
		}
	}
	all := s.requests()
	key := func(i int) string { return all[i].header.Get("Idempotency-Key") }
	if key(0) != key(1) || key(0) == key(2) {
		t.Errorf("keys %q %q %q", key(0), key(1), key(2))
	}
}

func TestHooksThatCannotWorkAreRefused(t *testing.T) {
	c := client(t)
	for want, spec := range map[string]HookSpec{
		"name is missing":    {Request: Request{URL: "http://h/"}},
		"timeout is neg":     {Name: "x", Timeout: -1, Request: Request{URL: "http://h/"}},
		"with POST, not GET": {Name: "x", Request: Request{URL: "http://h/", Method: "GET"}},
		"placeholder":        {Name: "x", Request: Request{URL: "http://h/{session_id}"}},
		"absolute http":      {Name: "x", Request: Request{URL: "/hook"}},
		"cannot be set":      {Name: "x", Request: Request{URL: "http://h/", Headers: map[string]string{"Host": "y"}}},
	} {
		for _, make := range []func(HookSpec) (agentkernel.Hook, error){c.HookBefore, c.HookAfter} {
			if _, err := make(spec); fault.KindOf(err) != fault.Config || !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: %v, want %q", spec, err, want)
			}
		}
	}
}
