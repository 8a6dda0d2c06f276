package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/agentkernel/agentkernel/auth"
	"github.com/agentkernel/agentkernel/model/modeltest"
	"github.com/agentkernel/agentkernel/model/scripted"
)

// parrot is every server that ak talks to: providers, tools, hooks and an MCP server. When it is told to fail it repeats
// what it was sent, headers and address and all.
type parrot struct {
	*canaries
	web       *httptest.Server
	elsewhere *httptest.Server // where redirects lead; it may not be told any secret
	mu        sync.Mutex
	wire      strings.Builder   // everything that was sent to it
	how       map[string]string // idempotency key to how the call was to go wrong
}

const canaryConfig = `
log: {level: debug}
session:
  sqlite: {path: ./store.db}
  redis: {url: "redis+sentinel://u:%{session.redis.url}@127.0.0.1:1,127.0.0.2:1/main?sentinel_password=%{session.redis.url#query}"}
  dynamodb: {endpoint: "http://u:%{session.dynamodb.endpoint}@127.0.0.1:1"}
  postgres: {url: "postgres://u:%{session.postgres.url}@127.0.0.1:1,127.0.0.2:1/db?sslpassword=%{session.postgres.url#query}"}
execution: {lease_ttl: 1s, sweep_interval: 100ms, drain: {delay: 0s, timeout: 5s}}
admin: {port: ADMIN}
auth:
  mode: api_key
  keys: [{id: tester, hash: "HASH", roles: [user, operator]}]
providers:
  openai: {}
  anthropic: {api_key: <file:anthropic>}
  gemini: {api_key: "%{providers.api_key#inline}", base_url: "http://u:%{providers.base_url#gemini}@HOST"}
  bedrock: {region: eu-central-1, base_url: "http://HOST"}
  local: {type: openai_compatible, base_url: "http://u:%{providers.base_url#basic}@HOST/v1"}
  named: {type: openai_compatible, base_url: "http://HOST/v1"}
tools:
  - name: act
    on_doubt: tell
    timeout: 500ms
    parameters: {type: object, properties: {how: {type: string}}}
    http:
      url: "http://HOST/tool?access_token=%{tools.http.url#query}"
      headers: {Authorization: "Bearer %{tools.http.headers#bearer}", X-Api-Key: <file:tool>}
    reconcile: {http: {url: "http://u:%{tools.reconcile.http.url}@HOST/asked/{idempotency_key}", headers: {X-Key: "%{tools.reconcile.http.headers}"}}}
  - name: get
    effect: read_only
    parameters: {type: object, properties: {how: {type: string}}}
    http: {method: GET, url: "http://u:%{tools.http.url#user}@HOST/tool"}
  - {name: prog, effect: read_only, mcp: {command: [PROGRAM, "--token=<file:argument>"], env: {AK_TEST_PARROT: program, API_TOKEN: "%{tools.mcp.env}"}}}
  - {name: web, effect: read_only, mcp: {url: "http://HOST/mcp?key=%{tools.mcp.url}", headers: {Authorization: "Bearer %{tools.mcp.headers}"}}}
agents:
`

const canaryAgent = `
  - name: NAME
    model: NAME/m
    instructions: "Say <file:motto>."
    tools: [act, get, prog, web]
    hooks:
      before: [{name: first, http: {url: "http://HOST/hook?sig=%{agents.hooks.before.http.url}", headers: {X-Token: "%{agents.hooks.before.http.headers}"}}}]
      after: [{name: last, http: {url: "http://u:%{agents.hooks.after.http.url}@HOST/hook", headers: {Cookie: "s=%{agents.hooks.after.http.headers}"}}}]
`

var canaryAgents = []string{"openai", "anthropic", "gemini", "bedrock", "local", "named"}

var canaryEnv = []string{
	"OPENAI_API_KEY=sk-%{OPENAI_API_KEY}", "OPENAI_BASE_URL=http://u:%{OPENAI_BASE_URL}@HOST/v1",
	"ANTHROPIC_API_KEY=%{ANTHROPIC_API_KEY}", "ANTHROPIC_BASE_URL=http://u:%{ANTHROPIC_BASE_URL}@HOST",
	"GEMINI_API_KEY=%{GEMINI_API_KEY}", "GOOGLE_API_KEY=%{GOOGLE_API_KEY}", "AWS_BEARER_TOKEN_BEDROCK=%{AWS_BEARER_TOKEN_BEDROCK}",
	"AK_PROVIDERS__NAMED__API_KEY=%{providers.api_key#variable}", "AK_TOKEN=%{AK_TOKEN}", "AK_API_KEY=ak_%{AK_API_KEY}",
	"AWS_EC2_METADATA_DISABLED=true",
}

func newParrot(t *testing.T, c *canaries) *parrot {
	t.Helper()
	stages := func(tool string) scripted.Rule {
		return scripted.Rule{
			When: "use " + tool + ` (?P<how>\w+)`, Calls: []scripted.Call{{Tool: tool, Args: map[string]any{"how": "${how}"}}},
			Then: []scripted.Stage{{Say: "It said: ${result}"}},
		}
	}
	script := scripted.Script{Rules: []scripted.Rule{stages("act"), stages("get"), stages("prog_tell"), stages("web_tell")}}
	fake, err := modeltest.NewServer(modeltest.ServerConfig{Script: modeltest.Script{Replies: &script}})
	if err != nil {
		t.Fatal(err)
	}
	p := &parrot{canaries: c, how: map[string]string{}}
	mux := http.NewServeMux()
	mux.HandleFunc("/tool", p.tool)
	mux.HandleFunc("/asked/{key}", p.asked)
	mux.HandleFunc("/hook", p.hook)
	mux.Handle("/mcp", mcp.NewStreamableHTTPHandler(func(r *http.Request) *mcp.Server { return parrotMCP(heard(r)) }, nil))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { p.model(fake, w, r) })
	p.web = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.wire.WriteString(heard(r))
		p.mu.Unlock()
		mux.ServeHTTP(w, r)
	}))
	p.elsewhere = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.see("what a server heard to which it was redirected", heard(r))
		w.WriteHeader(http.StatusNotFound)
	}))
	p.web.Config.ErrorLog = log.New(io.Discard, "", 0)
	p.web.Start()
	t.Cleanup(func() {
		p.web.Close()
		p.elsewhere.Close()
		fake.Close()
	})
	return p
}

// heard is what a request carried.
func heard(r *http.Request) string {
	all := "AK-Echo: " + r.URL.String() + " "
	if user, password, ok := r.BasicAuth(); ok {
		all += user + ":" + password + " "
	}
	for name, values := range r.Header {
		all += name + ": " + strings.Join(values, ", ") + " "
	}
	return all
}

// serve starts ak with a canary wherever one can be.
func (p *parrot) serve(t *testing.T) *canaryServer {
	t.Helper()
	key := "ak_" + p.in("%{auth.keys.hash}") // what callers send
	admin := freePort(t)
	text := canaryConfig
	for _, name := range canaryAgents {
		text += strings.ReplaceAll(canaryAgent, "NAME", name)
	}
	host := strings.TrimPrefix(p.web.URL, "http://")
	fill := strings.NewReplacer("HOST", host, "ADMIN", admin, "HASH", auth.Hash(key), "PROGRAM", os.Args[0])
	dir := folder(t, p.in(fill.Replace(text)))
	secrets := t.TempDir()
	for name, content := range map[string]string{
		"anthropic": "%{providers.api_key#file}\n", "tool": "%{tools.http.headers#file}", "motto": "%{instructions}", "argument": "%{argument}",
	} {
		write(t, filepath.Join(secrets, name), p.in(content))
	}
	env := []string{"AK_SECRETS_PATH=" + secrets}
	for _, v := range canaryEnv {
		env = append(env, p.in(fill.Replace(v)))
	}
	s := &canaryServer{canaries: p.canaries, key: key, env: env, admin: "http://127.0.0.1:" + admin}
	s.process = served(launch(t, dir, env, "serve", "--port", "0", "--set", "tools.get.http.headers.X-Secret="+p.in("%{tools.http.headers#flag}")))
	return s
}

func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }() // and nobody else's in a moment
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}

var toldFault = regexp.MustCompile(`fault-(\w+)`)

// model answers for every provider. A prompt with fault-… says how it fails.
func (p *parrot) model(fake http.Handler, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	told := toldFault.FindSubmatch(body)
	if err != nil || told == nil {
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		fake.ServeHTTP(w, r)
		return
	}
	text, _ := json.Marshal(strings.Repeat("padding ", 40) + heard(r)) // so that what is cut is cut in a secret, for some
	short, _ := json.Marshal(heard(r))
	status := 0
	switch how := string(told[1]); how {
	case "stream":
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = fmt.Fprintf(w, "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":%s}}\n\n", short)
	case "page":
		_, _ = fmt.Fprintf(w, "<html>%s</html>", heard(r))
	case "cut":
		w.Header().Set("Content-Length", "100000")
		_, _ = fmt.Fprintf(w, "data: {\"error\": %s", short)
	case "reset":
		panic(http.ErrAbortHandler)
	case "away":
		http.Redirect(w, r, p.elsewhere.URL, http.StatusTemporaryRedirect)
	case "redirect":
		http.Redirect(w, r, "http://127.0.0.1:1/?"+r.URL.RawQuery+"&key="+strings.Fields(heard(r))[1], http.StatusTemporaryRedirect)
	case "plain":
		http.Error(w, heard(r), http.StatusUnauthorized)
	default:
		_, _ = fmt.Sscanf(how, "%d", &status)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"error":{"message":%s,"type":"x","code":%d,"status":"ABORTED"},"message":%s,"type":"error"}`, short, status, text)
	}
}

// misbehave answers a tool's call or a hook's question as it is told to, and repeats what it heard.
func misbehave(w http.ResponseWriter, r *http.Request, how, said string) {
	switch how {
	case "echo200":
		_, _ = io.WriteString(w, said)
	case "echo400", "echo401", "echo500", "echo503":
		w.WriteHeader(map[string]int{"echo400": 400, "echo401": 401, "echo500": 500, "echo503": 503}[how])
		_, _ = io.WriteString(w, strings.Repeat("padding ", 495)+said) // 4 KiB are shown
	case "redirect":
		http.Redirect(w, r, "http://elsewhere.invalid/?"+r.URL.RawQuery, http.StatusFound)
	case "cut":
		w.Header().Set("Content-Length", "100000")
		_, _ = io.WriteString(w, said)
	case "reset":
		panic(http.ErrAbortHandler)
	default:
		_, _ = io.WriteString(w, "{}")
	}
}

func (p *parrot) tool(w http.ResponseWriter, r *http.Request) {
	how := r.FormValue("how")
	var args struct{ How string }
	if err := json.NewDecoder(r.Body).Decode(&args); err == nil && how == "" {
		how = args.How
	}
	p.mu.Lock()
	p.how[r.Header.Get("Idempotency-Key")] = how
	p.mu.Unlock()
	misbehave(w, r, how, heard(r))
}

// asked says what became of a call: that it happened, or nothing that helps.
func (p *parrot) asked(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	how := p.how[r.PathValue("key")]
	p.mu.Unlock()
	misbehave(w, r, map[string]string{"echo500": "echo200", "echo503": "echo503", "cut": "redirect", "reset": "cut"}[how], heard(r))
}

var toldHook = regexp.MustCompile(`hook-(\w+)-(\w+)`)

// hook fails before or after the agent, as the prompt says.
func (p *parrot) hook(w http.ResponseWriter, r *http.Request) {
	var q struct {
		Prompt string
		Reply  *string
	}
	_ = json.NewDecoder(r.Body).Decode(&q)
	told := toldHook.FindStringSubmatch(q.Prompt)
	if told == nil || (told[1] == "after") != (q.Reply != nil) {
		_, _ = io.WriteString(w, "{}")
		return
	}
	if key := told[2]; key == "reply" || key == "note" || key == "refuse" || key == "other" {
		_ = json.NewEncoder(w).Encode(map[string]string{key: heard(r)})
		return
	}
	misbehave(w, r, told[2], heard(r))
}

// parrotMCP is an MCP server with one tool, which tells what the server was told.
func parrotMCP(said string) *mcp.Server {
	s := mcp.NewServer(&mcp.Implementation{Name: "parrot", Version: "1"}, nil)
	schema := json.RawMessage(`{"type":"object","properties":{"how":{"type":"string"}}}`)
	s.AddTool(&mcp.Tool{Name: "tell", InputSchema: schema}, func(_ context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		said := said
		if req.Extra != nil && req.Extra.Header != nil {
			said += fmt.Sprint(req.Extra.Header)
		}
		result := &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: said}}}
		var args struct{ How string }
		_ = json.Unmarshal(req.Params.Arguments, &args)
		switch args.How {
		case "fail":
			result.IsError = true
		case "error":
			return nil, errors.New(strings.Repeat("padding ", 68) + said)
		case "die":
			_, _ = fmt.Fprintln(os.Stderr, strings.Repeat("padding ", 120)+said)
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		return result, nil
	})
	return s
}

// beParrot is what the test's binary does as an MCP server's program.
func beParrot(role string) {
	said := "my token is " + os.Getenv("API_TOKEN") + " and " + strings.Join(os.Environ(), " ")
	fmt.Fprintln(os.Stderr, said)
	if role == "exit" {
		os.Exit(3)
	}
	_ = parrotMCP(said).Run(context.Background(), &mcp.StdioTransport{})
}
