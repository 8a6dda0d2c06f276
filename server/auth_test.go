package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/auth"
	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// guarded is a site with API keys: one for each role at tenant acme, one of the tenant globex, one of no tenant, and one
// without a role here.
func guarded(t *testing.T, change ...func(*agentkernel.Config, *Config)) (*site, map[string]string) {
	t.Helper()
	secrets := map[string]string{}
	var keys []auth.Key
	add := func(id, tenant string, roles ...string) {
		secret, hash := auth.NewKey()
		secrets[id] = secret
		keys = append(keys, auth.Key{ID: id, Hash: hash, Tenant: tenant, Roles: roles})
	}
	add("user", "acme", "user")
	add("approver", "acme", "approver")
	add("operator", "acme", "operator")
	add("other", "globex", "operator")
	add("single", "", "operator")
	gate, err := auth.NewKeys(keys)
	if err != nil {
		t.Fatal(err)
	}
	x := newSite(t, append([]func(*agentkernel.Config, *Config){func(_ *agentkernel.Config, c *Config) {
		c.Auth = roleless{gate}
		c.Metrics = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	}}, change...)...)
	secrets["nobody"] = "ak_nobody"
	return x, secrets
}

// roleless lets somebody in who has no role, as a token may.
type roleless struct{ auth.Authenticator }

func (a roleless) Authenticate(ctx context.Context, r *http.Request) (auth.Identity, error) {
	if r.Header.Get("X-API-Key") == "ak_nobody" {
		return auth.Identity{Tenant: "acme", Subject: "nobody", Roles: []string{"offline_access"}}, nil
	}
	return a.Authenticator.Authenticate(ctx, r)
}

// described are all routes of the OpenAPI description, and those that it does not have.
func (x *site) described() (routes []string) {
	x.t.Helper()
	var api struct {
		Paths map[string]map[string]any `json:"paths"`
	}
	if err := json.Unmarshal(x.s.OpenAPI(), &api); err != nil {
		x.t.Fatal(err)
	}
	for path, methods := range api.Paths {
		for method := range methods {
			routes = append(routes, strings.ToUpper(method)+" "+path)
		}
	}
	slices.Sort(routes)
	return append(routes, "GET /metrics", "GET /openapi.json")
}

func TestEveryRouteIsForWhoTheTableSays(t *testing.T) {
	x, keys := guarded(t)
	checked := 0
	for _, route := range x.described() {
		need, ok := rights[route]
		if !ok {
			t.Errorf("%s has no row in the table of rights", route)
			continue
		}
		method, pattern, _ := strings.Cut(route, " ")
		path := strings.Replace(pattern, "{id}", "nobody", 1)
		if strings.Contains(pattern, "/turns/") {
			path = strings.Replace(pattern, "{id}", "nobody~1.1.0.5d41402a", 1)
		}
		for _, c := range []struct {
			who  string
			role auth.Role
		}{{"user", auth.User}, {"approver", auth.Approver}, {"operator", auth.Operator}, {"other", auth.Operator}, {"nobody", ""}} {
			checked++
			r := x.do(method, path, "", "X-API-Key", keys[c.who])
			may := need.open || c.role == auth.Operator || slices.Contains(need.roles, c.role)
			if may && (r.StatusCode == 401 || r.StatusCode == 403) {
				t.Errorf("%s is refused to %s: %s", route, c.who, r.body)
			}
			if !may {
				p := problem(t, r, 403, fault.Forbidden)
				if !strings.Contains(p.Detail, "needs the role") || !strings.Contains(r.Header.Get("WWW-Authenticate"), `error="insufficient_scope"`) {
					t.Errorf("%s for %s: %s", route, c.who, r.body)
				}
			}
		}
		for _, header := range [][]string{nil, {"Authorization", "Bearer ak_wrong"}, {"X-API-Key", "wrong"}} {
			checked++
			r := x.do(method, path, "", header...)
			if need.open {
				if r.StatusCode != 200 {
					t.Errorf("%s is not open: %s", route, r.body)
				}
				continue
			}
			problem(t, r, 401, fault.Unauthenticated)
			want := `Bearer realm="agentkernel"`
			if header != nil {
				want += `, error="invalid_token", error_description="`
			}
			if got := r.Header.Get("WWW-Authenticate"); got != want && (header == nil || !strings.HasPrefix(got, want)) {
				t.Errorf("%s: %q", route, got)
			}
		}
	}
	if checked < 140 {
		t.Errorf("only %d cases", checked)
	}
	if a := rightsTo("GET /api/v1/new"); a.open || !slices.Equal(a.roles, operators.roles) {
		t.Errorf("a route without a row is for %v", a)
	}
}

func TestTheTableOfRightsIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/http.md")
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]string{}
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, "|")
		if len(cells) != 4 {
			continue
		}
		who := strings.TrimSpace(cells[1])
		if !slices.Contains([]string{"everyone", "user, approver", "user", "approver", "operator"}, who) {
			continue
		}
		for i, route := range strings.Split(cells[2], "`") {
			if i%2 == 1 {
				told[route] = who
			}
		}
	}
	for route, need := range rights {
		var roles []string
		for _, r := range need.roles {
			roles = append(roles, string(r))
		}
		want := strings.Join(roles, ", ")
		if need.open {
			want = "everyone"
		}
		if told[route] != want {
			t.Errorf("docs/http.md gives %s to %q, it is for %q", route, told[route], want)
		}
		delete(told, route)
	}
	for route := range told {
		t.Errorf("docs/http.md has the route %s, and the table of rights does not", route)
	}
}

func TestTheDescriptionSaysWhatARouteNeeds(t *testing.T) {
	x, _ := guarded(t)
	var api struct {
		Components struct {
			Schemes map[string]map[string]any `json:"securitySchemes"`
		} `json:"components"`
		Paths map[string]map[string]struct {
			Security []map[string][]auth.Role `json:"security"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(x.s.OpenAPI(), &api); err != nil {
		t.Fatal(err)
	}
	if b := api.Components.Schemes["bearer"]; b["type"] != "http" || b["scheme"] != "bearer" {
		t.Errorf("%v", api.Components.Schemes)
	}
	if k := api.Components.Schemes["key"]; k["type"] != "apiKey" || k["in"] != "header" || k["name"] != "X-API-Key" {
		t.Errorf("%v", api.Components.Schemes)
	}
	for path, methods := range api.Paths {
		for method, op := range methods {
			need := rights[strings.ToUpper(method)+" "+path]
			if need.open {
				if op.Security != nil {
					t.Errorf("%s %s: %v", method, path, op.Security)
				}
			} else if len(op.Security) != 2 || !slices.Equal(op.Security[0]["bearer"], need.roles) || !slices.Equal(op.Security[1]["key"], need.roles) {
				t.Errorf("%s %s: %v", method, path, op.Security)
			}
		}
	}
}

func TestAnotherTenantsSessionIsNotThere(t *testing.T) {
	x, keys := guarded(t)
	mine := as[ChatReply](t, x.chat(`{"prompt":"hello","session_id":"talk"}`, "X-API-Key", keys["user"], "Idempotency-Key", "k"), 200)
	for _, who := range []string{"other", "single"} {
		foreign := 0
		for _, route := range x.described() {
			method, path, _ := strings.Cut(route, " ")
			id := "talk"
			if strings.Contains(path, "/turns/") {
				id = mine.Turn
			}
			if !strings.Contains(path, "{id}") {
				continue
			}
			body := ""
			switch {
			case strings.HasSuffix(path, "/resolve"):
				body = `{"outcome":"happened"}`
			case strings.HasSuffix(path, "/approve"), strings.HasSuffix(path, "/deny"):
				body = `{}`
			}
			foreign++
			r := x.do(method, strings.Replace(path, "{id}", id, 1), body, "X-API-Key", keys[who])
			status, kind := 404, fault.NotFound
			if id == mine.Turn { // it is answered like every turn that the store does not have
				status, kind = 410, fault.LostByStore
			}
			if p := problem(t, r, status, kind); strings.Contains(string(r.body), "acme") || p.Status == 403 {
				t.Errorf("%s %s", route, r.body)
			}
		}
		if foreign < 10 {
			t.Errorf("only %d routes", foreign)
		}
		if list := as[SessionList](t, x.do("GET", "/api/v1/sessions", "", "X-API-Key", keys[who]), 200); len(list.Sessions) != 0 {
			t.Errorf("%s sees %+v", who, list)
		}
		if list := as[TurnList](t, x.do("GET", "/api/v1/turns", "", "X-API-Key", keys[who]), 200); len(list.Turns) != 0 {
			t.Errorf("%s sees %+v", who, list)
		}
		problem(t, x.do("GET", "/api/v1/turns?session_id=talk", "", "X-API-Key", keys[who]), 404, fault.NotFound)
		// The same names are free for another tenant.
		own := as[ChatReply](t, x.chat(`{"prompt":"hello","session_id":"talk"}`, "X-API-Key", keys[who], "Idempotency-Key", "k"), 200)
		if own.Turn == mine.Turn {
			t.Errorf("%s got the turn of another tenant", who)
		}
		if n := x.do("DELETE", "/api/v1/sessions/talk", "", "X-API-Key", keys[who]).StatusCode; n != 204 {
			t.Errorf("%d", n)
		}
	}
	for _, path := range []string{"/api/v1/sessions/talk", "/api/v1/sessions/talk/messages", "/api/v1/turns/" + mine.Turn} {
		if r := x.do("GET", path, "", "X-API-Key", keys["approver"]); r.StatusCode != 200 {
			t.Errorf("%s: %s", path, r.body)
		}
	}
	again := as[ChatReply](t, x.chat(`{"prompt":"hello","session_id":"talk"}`, "X-API-Key", keys["operator"], "Idempotency-Key", "k"), 200)
	if again.Turn != mine.Turn {
		t.Error("the same key of the same tenant is another turn")
	}
}

func TestKeysWithoutASessionAreOfTheirTenant(t *testing.T) {
	x, keys := guarded(t)
	seen := map[string]bool{}
	for _, who := range []string{"user", "other", "single", "operator"} {
		seen[as[ChatReply](t, x.chat(`{"prompt":"hello"}`, "X-API-Key", keys[who], "Idempotency-Key", "k"), 200).Session] = true
	}
	if len(seen) != 3 {
		t.Errorf("%v", seen)
	}
}

func TestTheJournalSaysWhoDecided(t *testing.T) {
	x, keys := guarded(t)
	p := as[Pending](t, x.chat(`{"prompt":"charge order A-1 5.00","agent":"paying","session_id":"pay"}`, "X-API-Key", keys["user"]), 202)
	problem(t, x.do("POST", "/api/v1/turns/"+p.Turn+"/resolve", `{"outcome":"happened"}`, "X-API-Key", keys["user"]), 403, fault.Forbidden)
	if r := x.do("POST", "/api/v1/turns/"+p.Turn+"/resolve", `{"outcome":"happened","result":"done"}`, "X-API-Key", keys["operator"]); r.StatusCode != 202 && r.StatusCode != 200 {
		t.Fatalf("%s", r.body)
	}
	r := x.do("GET", "/api/v1/sessions/pay/journal", "", "X-API-Key", keys["operator"])
	if !strings.Contains(string(r.body), `"by":"operator"`) || !strings.Contains(x.log.String(), `"tenant":"acme","subject":"operator"`) {
		t.Errorf("%s\n%s", r.body, x.log)
	}
	if strings.Contains(x.log.String(), keys["operator"]) {
		t.Error("a key is in the log")
	}
}

func TestWhoSpeaksIsToldToTheKernelWithEveryRole(t *testing.T) {
	ctx := context.WithValue(t.Context(), identityKey{}, auth.Identity{Tenant: "acme", Subject: "u", Roles: []string{"finance", "operator"}})
	if ref := refOf(ctx, "t"); ref.Tenant != "acme" || ref.By != "u" || ref.ID != "t" || fmt.Sprint(ref.Roles) != "[finance operator user approver]" {
		t.Errorf("%+v", ref)
	}
	ctx = context.WithValue(t.Context(), identityKey{}, auth.Identity{})
	if ref := refOf(ctx, "t"); ref.Roles == nil {
		t.Error("who has no role may do everything")
	}
	if ref := refOf(t.Context(), "t"); ref.Roles != nil || ref.By != "" || keyOf(t.Context(), "s") != (session.Key{ID: "s"}) {
		t.Errorf("%+v", ref)
	}
}

func TestHealthIsOpenAndItsDetailsAreNot(t *testing.T) {
	x, keys := guarded(t)
	for who, detailed := range map[string]bool{"operator": true, "user": false, "": false, "wrong": false} {
		header := []string{"X-API-Key", keys[who]}
		if who == "wrong" {
			header[1] = "ak_wrong"
		}
		h := as[map[string]any](t, x.do("GET", "/health?verbose", "", header...), 200)
		if _, shown := h["replica"]; shown != detailed || h["status"] != "healthy" {
			t.Errorf("%q sees %v", who, h)
		}
	}
}

// CANARY stands for a credential in each of these.
const canary = "CANARY7d1f"

func TestACredentialIsNeverRepeated(t *testing.T) {
	x, _ := guarded(t)
	for _, header := range [][]string{
		{"Authorization", "Bearer ak_" + canary},
		{"Authorization", "Bearer " + canary + "." + canary + "." + canary},
		{"Authorization", canary},
		{"Authorization", "Basic " + canary},
		{"Authorization", canary + " x"},
		{"X-API-Key", canary},
		{"X-API-Key", "ak_" + canary},
		{"Authorization", "Bearer " + strings.Repeat(canary, 2000)},
		{"Authorization", `Bearer "` + canary + `"`},
		{"Authorization", "Bearer ak_x", "X-API-Key", canary},
	} {
		for _, path := range []string{"/api/v1/agents", "/api/v1/sessions/s", "/metrics", "/health?verbose"} {
			r := x.do("GET", path, "", header...)
			if r.StatusCode != 401 && path != "/health?verbose" {
				t.Errorf("%.40q: %d", header, r.StatusCode)
			}
			if strings.Contains(string(r.body), canary) || strings.Contains(fmt.Sprint(r.Header), canary) {
				t.Errorf("%.40q: %v %s", header, r.Header, r.body)
			}
		}
	}
	x.do("GET", "/api/v1/agents?access_token="+canary, "", "Authorization", "Bearer ak_x")
	if strings.Contains(x.log.String(), canary) {
		t.Errorf("%s", x.log)
	}
}

// failing is an authenticator that answers with an error of its own.
type failing struct {
	id  auth.Identity
	err error
}

func (f failing) Authenticate(context.Context, *http.Request) (auth.Identity, error) {
	return f.id, f.err
}

func TestTroubleOfTheAuthenticatorIsNotTheCallersFault(t *testing.T) {
	x := newSite(t)
	for _, c := range []struct {
		failing
		status int
		code   fault.Kind
	}{
		{failing{err: fault.New(fault.Unavailable, "", "no keys yet").WithAfter(3e9)}, 503, fault.Unavailable},
		{failing{err: context.DeadlineExceeded}, 504, fault.TimeoutTotal},
		{failing{err: fmt.Errorf("%s in a cause", canary)}, 500, fault.Internal},
		{failing{id: auth.Identity{Tenant: "a/b", Subject: "x", Roles: []string{"operator"}}}, 403, fault.Forbidden},
	} {
		x.s.cfg.Auth = c.failing
		r := x.do("GET", "/api/v1/agents", "")
		problem(t, r, c.status, c.code)
		if c.status == 503 && r.Header.Get("Retry-After") != "3" || c.status != 403 && r.Header.Get("WWW-Authenticate") != "" || strings.Contains(string(r.body), canary) {
			t.Errorf("%v %s", r.Header, r.body)
		}
	}
}
