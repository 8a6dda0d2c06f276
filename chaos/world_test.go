package chaos

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel/model/modeltest"
)

var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "ak-chaos")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "ak")
	build := exec.Command("go", "build", "-tags", "failpoint", "-o", binary, "../cmd/ak")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "the binary does not build:", err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// desk is the tool server: it does what it is told, every time, and writes it down.
type desk struct {
	*httptest.Server
	mu      sync.Mutex
	charges map[string][]string // arguments by idempotency key, one entry per effect
	hold    chan struct{}       // when set, a call acts and then waits for it before it answers
	acted   chan string         // keys, as calls act
}

func newDesk(t *testing.T) *desk {
	d := &desk{charges: map[string][]string{}, acted: make(chan string, 100)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /do/{tool}", d.do)
	mux.HandleFunc("GET /done/{key}", func(w http.ResponseWriter, r *http.Request) {
		d.mu.Lock()
		defer d.mu.Unlock()
		if len(d.charges[r.PathValue("key")]) == 0 {
			http.Error(w, "no such call", http.StatusNotFound)
			return
		}
		_, _ = io.WriteString(w, "done")
	})
	d.Server = httptest.NewServer(mux)
	t.Cleanup(d.Close)
	return d
}

func (d *desk) do(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	key := r.Header.Get("Idempotency-Key")
	d.mu.Lock()
	dedupes := r.PathValue("tool") == "idem" || r.PathValue("tool") == "refuse"
	if !dedupes || len(d.charges[key]) == 0 {
		d.charges[key] = append(d.charges[key], string(body))
	}
	hold := d.hold
	d.mu.Unlock()
	d.acted <- key
	if hold != nil {
		select {
		case <-hold:
		case <-r.Context().Done():
		}
	}
	_, _ = io.WriteString(w, "done")
}

// effects is how many effects the busiest key had, and how many keys there are.
func (d *desk) effects() (most, keys int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, list := range d.charges {
		most = max(most, len(list))
	}
	return most, len(d.charges)
}

// place is a folder with a configuration and a database, which several processes may share.
type place struct {
	t     *testing.T
	dir   string
	desk  *desk
	model *modeltest.Server
	llm   *httptest.Server
}

func newPlace(t *testing.T) *place {
	t.Helper()
	p := &place{t: t, dir: t.TempDir(), desk: newDesk(t)}
	var err error
	if p.model, err = modeltest.NewServer(modeltest.ServerConfig{}); err != nil {
		t.Fatal(err)
	}
	p.llm = httptest.NewServer(p.model)
	t.Cleanup(func() { p.model.Close(); p.llm.Close() })
	p.script(nil)
	var tools, names []string
	for _, tool := range []struct{ name, more string }{
		{"read", "effect: read_only"},
		{"idem", "effect: idempotent"},
		{"once", "effect: at_most_once, reconcile: {http: {url: \"" + p.desk.URL + "/done/{idempotency_key}\"}}"},
		{"ask", "effect: at_most_once, on_doubt: ask"},
		{"tell", "effect: at_most_once, on_doubt: tell"},
		{"refuse", "effect: at_most_once, refuses: duplicate_key"},
	} {
		tools = append(tools, fmt.Sprintf("  - {name: %s, description: does it, timeout: 1s, parameters: {type: object}, http: {method: POST, url: \"%s/do/%s\"}, %s}", tool.name, p.desk.URL, tool.name, tool.more))
		names = append(names, tool.name)
	}
	config := fmt.Sprintf(`
log: {level: debug, format: json}
session: {type: sqlite, sqlite: {path: %q}}
execution: {lease_ttl: 1s, sweep_interval: 200ms, drain: {delay: 500ms, timeout: 10s}}
providers: {local: {type: openai_compatible, base_url: %q}}
tools:
%s
agents:
  - {name: a, model: local/m, tools: [%s]}
`, filepath.Join(p.dir, "ak.db"), p.llm.URL+"/v1", strings.Join(tools, "\n"), strings.Join(names, ", "))
	if err := os.WriteFile(filepath.Join(p.dir, "config.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// script makes the model call the tool that the prompt names, and then answer; steps are faults on the way.
func (p *place) script(steps []map[string]any) {
	p.t.Helper()
	var rules []map[string]any
	for _, tool := range []string{"read", "idem", "once", "ask", "tell", "refuse"} {
		rules = append(rules, map[string]any{
			"when":  "^use " + tool + "$",
			"calls": []map[string]any{{"tool": tool, "args": map[string]any{"n": 1}}},
			"then":  []map[string]any{{"say": "used " + tool + ": ${result}"}},
		})
	}
	rules = append(rules, map[string]any{"when": ".*", "say": "you said ${0}"})
	script, err := modeltest.ParseScript(mustJSON(map[string]any{"replies": map[string]any{"rules": rules}, "steps": steps}))
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.model.SetScript(*script); err != nil {
		p.t.Fatal(err)
	}
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// server is one ak process.
type server struct {
	p    *place
	cmd  *exec.Cmd
	url  string
	dead chan struct{} // closed when it has ended
	log  *bytes.Buffer
	mu   sync.Mutex
}

var listening = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

// serve starts a process and waits until it says where it listens. failpoint is where it dies, empty for nowhere.
func (p *place) serve(failpoint string) *server {
	p.t.Helper()
	s := &server{p: p, dead: make(chan struct{}), log: &bytes.Buffer{}}
	s.cmd = exec.Command(binary, "serve", "--config", filepath.Join(p.dir, "config.yaml"), "--port", "0")
	s.cmd.Env = append(os.Environ(), "AK_FAILPOINT="+failpoint)
	s.cmd.Dir = p.dir
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	ready := make(chan string, 1)
	go func() {
		defer close(s.dead)
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			s.mu.Lock()
			fmt.Fprintln(s.log, lines.Text())
			s.mu.Unlock()
			if m := listening.FindString(lines.Text()); m != "" {
				select {
				case ready <- m:
				default:
				}
			}
		}
		_ = s.cmd.Wait()
	}()
	p.t.Cleanup(func() {
		_ = s.cmd.Process.Signal(syscall.SIGCONT)
		_ = s.cmd.Process.Kill()
		<-s.dead
		if p.t.Failed() {
			p.t.Logf("process %d said:\n%s", s.cmd.Process.Pid, s.log)
		}
	})
	select {
	case s.url = <-ready:
	case <-s.dead:
		p.t.Fatalf("ak ended before it listened:\n%s", s.log)
	case <-time.After(30 * time.Second):
		p.t.Fatal("ak does not listen after 30 s")
	}
	return s
}

func (s *server) signal(sig syscall.Signal) {
	s.p.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.p.t.Fatal(err)
	}
}

func (s *server) waitDead() {
	s.p.t.Helper()
	select {
	case <-s.dead:
	case <-time.After(30 * time.Second):
		s.p.t.Fatal("the process did not end within 30 s")
	}
}

// answer is what a client is told.
type answer struct {
	status  int
	Result  string `json:"result"`
	Turn    string `json:"turn_id"`
	State   string `json:"state"`
	Waiting *struct {
		Reason string `json:"reason"`
		Step   string `json:"step"`
	} `json:"waiting"`
	Code string `json:"code"`
}

// chat sends a request; an error is a connection that broke.
func (s *server) chat(ctx context.Context, key, prompt string) (answer, error) {
	return s.post(ctx, "/api/v1/chat", key, map[string]any{"session_id": "s", "prompt": prompt})
}

func (s *server) post(ctx context.Context, path, key string, body any) (a answer, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+path, bytes.NewReader(mustJSON(body)))
	if err != nil {
		return a, err
	}
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	return s.send(req)
}

func (s *server) get(ctx context.Context, path string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
	if err != nil {
		return answer{}, err
	}
	return s.send(req)
}

func (s *server) send(req *http.Request) (a answer, err error) {
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return a, err
	}
	defer resp.Body.Close()
	a.status = resp.StatusCode
	raw, err := io.ReadAll(resp.Body)
	if err == nil {
		err = json.Unmarshal(raw, &a)
	}
	return a, err
}

// verify runs `ak verify` over the database, while nobody serves or beside who does.
func (p *place) verify() {
	p.t.Helper()
	out, err := exec.Command(binary, "verify", "--config", filepath.Join(p.dir, "config.yaml")).CombinedOutput()
	if err != nil {
		p.t.Errorf("ak verify: %v\n%s", err, out)
	}
}
