package server

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/fault"
)

const jsonType = "application/json"

func TestBadChatRequestsAreRefusedAndSayWhy(t *testing.T) {
	x := newSite(t, func(_ *agentkernel.Config, c *Config) { c.MaxBody = 1000 })
	long := strings.Repeat("x", 1001)
	for _, c := range []struct {
		name, body string
		header     []string
		status     int
		code       fault.Kind
		says       string
	}{
		{"no body", "", []string{"Content-Type", jsonType}, 400, fault.BadRequest, "body is required"},
		{"not JSON", "{", nil, 400, fault.BadRequest, "body: "},
		{"two values", `{"prompt":"a"}{}`, nil, 400, fault.BadRequest, "body: "},
		{"null", "null", nil, 400, fault.BadRequest, "body: expected object"},
		{"a list", "[]", nil, 400, fault.BadRequest, "body: expected object"},
		{"a text", `"prompt"`, nil, 400, fault.BadRequest, "body: expected object"},
		{"no prompt", `{}`, nil, 400, fault.BadRequest, "prompt"},
		{"prompt in another case", `{"Prompt":"hello"}`, nil, 400, fault.BadRequest, "prompt"},
		{"prompt is null", `{"prompt":null}`, nil, 400, fault.BadRequest, "body.prompt"},
		{"prompt is a number", `{"prompt":1}`, nil, 400, fault.BadRequest, "body.prompt: expected string"},
		{"prompt is empty", `{"prompt":""}`, nil, 400, fault.BadRequest, "body.prompt"},
		{"prompt is blank", `{"prompt":" \n"}`, nil, 400, fault.BadRequest, "prompt is empty"},
		{"prompt is given twice", `{"prompt":"a","prompt":"b"}`, nil, 400, fault.BadRequest, `"prompt" twice`},
		{"an extra field is given twice", `{"prompt":"a","x":1,"x":2}`, nil, 400, fault.BadRequest, `"x" twice`},
		{"agent is a list", `{"prompt":"a","agent":["b"]}`, nil, 400, fault.BadRequest, "body.agent: expected string"},
		{"agent is unknown", `{"prompt":"a","agent":"nobody"}`, nil, 404, fault.NotFound, `no agent "nobody"`},
		{"session_id is a number", `{"prompt":"a","session_id":1}`, nil, 400, fault.BadRequest, "body.session_id: expected string"},
		{"session_id has a slash", `{"prompt":"a","session_id":"a/b"}`, nil, 400, fault.BadRequest, "session_id must not contain"},
		{"session_id has a newline", `{"prompt":"a","session_id":"a\nb"}`, nil, 400, fault.BadRequest, "session_id must not contain"},
		{"session_id is long", `{"prompt":"a","session_id":"` + long[:129] + `"}`, nil, 400, fault.BadRequest, "128 characters"},
		{"not UTF-8", "{\"prompt\":\"\xff\xfe\"}", nil, 400, fault.BadRequest, "UTF-8"},
		{"body is too large", `{"prompt":"` + long + `"}`, nil, 413, fault.TooLarge, "1000 are allowed"},
		{"another media type", `{"prompt":"a"}`, []string{"Content-Type", "text/plain"}, 415, fault.Unsupported, `"text/plain"`},
		{"a form", `prompt=a`, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, fault.Unsupported, "only JSON"},
		{"no media type", `{"prompt":"a"}`, []string{"Content-Type", ""}, 415, fault.Unsupported, "only JSON"},
		{"another charset", `{"prompt":"a"}`, []string{"Content-Type", "application/json; charset=latin1"}, 415, fault.Unsupported, "only JSON"},
		{"malformed media type", `{"prompt":"a"}`, []string{"Content-Type", "a/b/c"}, 415, fault.Unsupported, "only JSON"},
		{"key is empty", `{"prompt":"a"}`, []string{"Idempotency-Key", " "}, 400, fault.BadRequest, "Idempotency-Key"},
		{"key is given twice", `{"prompt":"a"}`, []string{"Idempotency-Key", "a", "Idempotency-Key", "a"}, 400, fault.BadRequest, "Idempotency-Key"},
		{"key is not ASCII", `{"prompt":"a"}`, []string{"Idempotency-Key", "käse"}, 400, fault.BadRequest, "Idempotency-Key"},
		{"key is long", `{"prompt":"a"}`, []string{"Idempotency-Key", long[:257]}, 400, fault.BadRequest, "256"},
		{"another site", `{"prompt":"a"}`, []string{"Origin", "https://elsewhere.example"}, 403, fault.BadRequest, "another site"},
		{"another site, by fetch metadata", `{"prompt":"a"}`, []string{"Sec-Fetch-Site", "cross-site"}, 403, fault.BadRequest, "another site"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := x.chat(c.body, append(c.header, "X", "")...)
			p := problem(t, r, c.status, c.code)
			if !strings.Contains(p.Detail, c.says) {
				t.Errorf("it says %q, not %q", p.Detail, c.says)
			}
			if strings.Contains(string(r.body), long[:100]) {
				t.Error("the body is echoed")
			}
		})
	}
	if turns := as[TurnList](t, x.do("GET", "/api/v1/turns", ""), 200); len(turns.Turns) != 0 {
		t.Errorf("a refused request made %d turns", len(turns.Turns))
	}
}

func TestABodyWithoutALengthIsBoundedToo(t *testing.T) {
	x := newSite(t, func(_ *agentkernel.Config, c *Config) { c.MaxBody = 1000 })
	for size, status := range map[int]int{1000: 200, 1001: 413, 100000: 413} {
		frame := len(`{"prompt":""}`)
		body := `{"prompt":"` + strings.Repeat("x", size-frame) + `"}`
		req := x.request(t.Context(), "POST", "/api/v1/chat", body)
		req.ContentLength = -1
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != status {
			t.Errorf("%d bytes: %d, not %d", size, res.StatusCode, status)
		}
	}
}

// badIDs are written as they stand in a path.
var badIDs = struct{ turn, session []string }{
	turn: []string{
		"x", "~", "a~1.1.0", "a~1.1.0.xyzxyzxy", "a~0.1.0.5d41402a", "a~1.0.0.5d41402a", "a~1.1.-1.5d41402a", "a~01.1.0.5d41402a",
		"a%2Fb~1.1.0.5d41402a", "~1.1.0.5d41402a", "a~1.1.0.5d41402a%0A", "a~99999999999999999999.1.0.5d41402a", "%00", strings.Repeat("y", 300),
	},
	session: []string{"a%2Fb", "a%20b", "%00", "%C3%A4", "a~b", strings.Repeat("y", 129)},
}

func TestIdsThatCannotBeAreRefusedOnEveryRoute(t *testing.T) {
	x := newSite(t)
	const resolve = `{"outcome":"happened"}`
	for _, route := range []string{
		"GET /turns/{id}", "GET /turns/{id}/events", "POST /turns/{id}/cancel", "POST /turns/{id}/retry", "POST /turns/{id}/release",
		"POST /turns/{id}/discard", "POST /turns/{id}/resolve", "POST /turns/{id}/approve", "POST /turns/{id}/deny", "GET /sessions/{id}", "GET /sessions/{id}/events", "DELETE /sessions/{id}", "GET /sessions/{id}/messages", "GET /sessions/{id}/journal",
	} {
		method, path, _ := strings.Cut(route, " ")
		body := ""
		if strings.HasSuffix(path, "/resolve") {
			body = resolve
		}
		bad, missing, status, kind := badIDs.session, "nobody", 404, fault.NotFound
		if strings.HasPrefix(path, "/turns") { // an id that could be one of ours is one that the store does not have any more
			bad, missing, status, kind = badIDs.turn, "nobody~1.1.0.5d41402a", 410, fault.LostByStore
		}
		for _, id := range bad {
			problem(t, x.do(method, "/api/v1"+strings.Replace(path, "{id}", id, 1), body), 400, fault.BadRequest)
		}
		p := problem(t, x.do(method, "/api/v1"+strings.Replace(path, "{id}", missing, 1), body), status, kind)
		if p.SessionID != "nobody" {
			t.Errorf("%s: %+v", route, p)
		}
	}
}

func TestParametersAreChecked(t *testing.T) {
	x := newSite(t)
	as[ChatReply](t, x.chat(`{"prompt":"hello","session_id":"s"}`), 200)
	long := strings.Repeat("y", 600)
	for path, says := range map[string]string{
		"/turns?limit=0":                       "query.limit",
		"/turns?limit=1001":                    "query.limit",
		"/turns?limit=-1":                      "query.limit",
		"/turns?limit=ten":                     "query.limit",
		"/turns?limit=1e3":                     "query.limit",
		"/turns?state=happy":                   `"happy" is not a state`,
		"/turns?state=running,happy":           `"happy" is not a state`,
		"/turns?session_id=a/b":                "session_id must not contain",
		"/turns?session_id=" + long:            "session_id must have",
		"/turns?after=a/b":                     "after must not contain",
		"/turns?stat=running":                  "query.stat: there is no such parameter",
		"/turns?limit=1&limit=2":               "query.limit: it is given more than once",
		"/turns?limit=%zz":                     "the query is malformed",
		"/turns?a=1;b=2":                       "the query is malformed",
		"/sessions?limit=0":                    "query.limit",
		"/sessions?limit=99999999999999999999": "query.limit",
		"/sessions?serch=x":                    "query.serch: there is no such parameter",
		"/sessions?search=" + long:             "query.search",
		"/sessions?after=%00":                  "after must not contain",
		"/sessions/s?x":                        "query.x: there is no such parameter",
		"/sessions/s/messages?limit=1":         "query.limit: there is no such parameter",
		"/sessions/s/journal?after=-1":         "query.after",
		"/sessions/s/journal?after=x":          "query.after",
		"/sessions/s/journal?limit=0":          "query.limit",
		"/sessions/s/journal?from=1":           "query.from: there is no such parameter",
		"/agents?name=x":                       "query.name: there is no such parameter",
		"/replicas?" + long + "=x":             "there is no such parameter",
		"/turns/s~1.1.0.5d41402a?steps=1":      "query.steps: there is no such parameter",
		"/turns/s~1.1.0.5d41402a/events?a=1":   "query.a: there is no such parameter",
		"/turns/x/events?after=" + long:        "query.after",
		"/sessions/s/events?after=" + long:     "query.after",
		"/sessions/s/events?from=1":            "query.from: there is no such parameter",
	} {
		p := problem(t, x.do("GET", "/api/v1"+path, ""), 400, fault.BadRequest)
		if !strings.Contains(p.Detail, says) {
			t.Errorf("%s: %q does not say %q", path, p.Detail, says)
		}
		if strings.HasPrefix(says, "query.") && len(p.Errors) == 0 {
			t.Errorf("%s: no details", path)
		}
	}
	problem(t, x.do("GET", "/api/v1/turns?session_id=nobody", ""), 404, fault.NotFound)
	problem(t, x.do("GET", "/api/v1/turns/x/events", "", "Last-Event-ID", long), 400, fault.BadRequest)
	problem(t, x.do("GET", "/api/v1/sessions/s/events", "", "Last-Event-ID", long), 400, fault.BadRequest)
	problem(t, x.do("GET", "/health?verbose=maybe", ""), 400, fault.BadRequest)
	problem(t, x.do("POST", "/api/v1/chat?agent=x", `{"prompt":"hello"}`), 400, fault.BadRequest)
	for path, nearest := range map[string]string{"/turns?stat=x": "state", "/turns?sesion=x": "session_id", "/sessions?serch=x": "search", "/sessions/s/journal?afterr=1": "after"} {
		if p := problem(t, x.do("GET", "/api/v1"+path, ""), 400, fault.BadRequest); !strings.Contains(p.Try, "did you mean "+nearest+"?") {
			t.Errorf("%s: %q", path, p.Try)
		}
	}
}

func TestBadResolutionsAreRefused(t *testing.T) {
	x := newSite(t)
	turn := as[Pending](t, x.chat(`{"prompt":"charge order A-1 12.50","agent":"paying"}`), 202).Turn
	path := "/api/v1/turns/" + turn + "/resolve"
	for body, says := range map[string]string{
		``:                                      "body is required",
		`{`:                                     "body: ",
		`[]`:                                    "body: expected object",
		`{}`:                                    "outcome",
		`{"outcome":1}`:                         "body.outcome",
		`{"outcome":"maybe"}`:                   "body.outcome",
		`{"outcome":"stays_unknown"}`:           "body.outcome",
		`{"outcome":"happened","step":1}`:       "body.step",
		`{"outcome":"happened","step":"m9.c9"}`: "is not in doubt",
		`{"outcome":"happened","result":{}}`:    "body.result",
		`{"outcome":"happened","note":[]}`:      "body.note",
		`{"outcome":"happened","note":"` + strings.Repeat("n", 5000) + `"}`:                    "body.note",
		`{"outcome":"happened","reslut":"x"}`:                                                  "reslut",
		`{"outcome":"happened","outcome":"not_happened","x":"` + strings.Repeat("y", 2) + `"}`: "body.x",
	} {
		p := problem(t, x.do("POST", path, body, "Content-Type", jsonType), 400, fault.BadRequest)
		if !strings.Contains(p.Detail, says) {
			t.Errorf("%s: %q does not say %q", body, p.Detail, says)
		}
	}
	problem(t, x.do("POST", path, `{"outcome":"happened"}`, "Content-Type", "text/plain"), 415, fault.Unsupported)
	for _, verb := range []string{"retry", "release", "discard"} {
		problem(t, x.do("POST", "/api/v1/turns/"+turn+"/"+verb, ""), 409, fault.Conflict)
	}
	if r := x.do("POST", path, `{"outcome":"not_happened"}`); r.StatusCode != 202 && r.StatusCode != 200 { // 200: it has ended already
		t.Errorf("resolved: %d, not 202 or 200", r.StatusCode)
	}
	x.settled(turn)
	problem(t, x.do("POST", path, `{"outcome":"happened"}`), 409, fault.Conflict)
	problem(t, x.do("POST", "/api/v1/turns/"+turn+"/cancel", ""), 409, fault.Conflict)
}

func TestRoutesAndMethodsThatDoNotExistAreProblemsToo(t *testing.T) {
	x := newSite(t)
	for _, path := range []string{
		"/", "/nope", "/api", "/api/v1/", "/api/v1/agents/", "/api/v1/agents/x", "/api/v2/agents", "//api/v1/agents", "/api/v1/sessions//messages",
		"/api/v1/sessions/%2E%2E/messages", "/api/v1/turns/x/events/y", "/openapi.yaml", "/docs", "/metrics", "/HEALTH",
	} {
		p := problem(t, x.do("GET", path, ""), 404, fault.NotFound)
		if p.Try == "" {
			t.Errorf("%s: no advice", path)
		}
	}
	var doc struct {
		Paths map[string]map[string]any
	}
	if err := json.Unmarshal(x.s.OpenAPI(), &doc); err != nil {
		t.Fatal(err)
	}
	for route, methods := range doc.Paths {
		path := strings.Replace(route, "{id}", "x", 1)
		var allowed []string
		for m := range methods {
			allowed = append(allowed, strings.ToUpper(m))
		}
		if slices.Contains(allowed, "GET") {
			allowed = append(allowed, "HEAD")
		}
		slices.Sort(allowed)
		for _, m := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"} {
			if slices.Contains(allowed, m) {
				continue
			}
			r := x.do(m, path, "")
			problem(t, r, 405, fault.Unsupported)
			if got := r.Header.Get("Allow"); got != strings.Join(allowed, ", ") {
				t.Errorf("%s %s: Allow is %q, not %v", m, path, got, allowed)
			}
		}
	}
	for path, status := range map[string]int{"/nope": 404, "/api/v1/chat": 405, "/api/v1/sessions/nobody": 404, "/health": 200, "/api/v1/agents": 200} {
		r := x.do("HEAD", path, "")
		want := "application/problem+json"
		if status == 200 {
			want = jsonType
		}
		if r.StatusCode != status || r.Header.Get("Content-Type") != want || len(r.body) > 0 {
			t.Errorf("HEAD %s: %d %v", path, r.StatusCode, r.Header)
		}
	}
}

func TestHeadersAreBounded(t *testing.T) {
	x := newSite(t, func(_ *agentkernel.Config, c *Config) { c.MaxHeader = 4000 })
	problem(t, x.do("GET", "/api/v1/agents", "", "X-Large", strings.Repeat("x", 4000)), 431, fault.TooLarge)
	problem(t, x.do("GET", "/"+strings.Repeat("x", 4000), ""), 431, fault.TooLarge)
	as[AgentList](t, x.do("GET", "/api/v1/agents", "", "X-Large", strings.Repeat("x", 3000)), 200)
}
