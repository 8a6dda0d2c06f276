package chaos

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel/model/modeltest"
)

// desk is the tool server: it does what it is told, every time, and writes it down.
type desk struct {
	*httptest.Server
	mu      sync.Mutex
	charges map[string][]string // arguments by idempotency key, one entry per effect
	hold    chan struct{}       // when set, a call acts and then waits for it before it answers
	acted   chan string         // keys, as calls act
	takes   time.Duration       // how long a call takes
	longer  time.Duration       // how long one of once takes, if that is longer
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
	mux.HandleFunc("POST /hook/{name}", d.hook)
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
	select {
	case d.acted <- key:
	default: // nobody counts
	}
	takes := d.takes
	if r.PathValue("tool") == "once" {
		takes = max(takes, d.longer)
	}
	if takes > 0 {
		select {
		case <-time.After(takes):
		case <-r.Context().Done():
		}
	}
	if hold != nil {
		select {
		case <-hold:
		case <-r.Context().Done():
		}
	}
	_, _ = io.WriteString(w, "done")
}

// release lets the calls go that are held.
func (d *desk) release() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.hold != nil {
		close(d.hold)
		d.hold = nil
	}
}

// actor is the process that made the only call, for tools that say so.
func (d *desk) actor() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, list := range d.charges {
		if pid, err := strconv.Atoi(list[0]); err == nil {
			return pid
		}
	}
	return 0
}

// hook answers a question about a turn: a note before it, and a changed reply after it.
func (d *desk) hook(w http.ResponseWriter, r *http.Request) {
	var about struct {
		Reply string `json:"reply"`
	}
	_ = json.NewDecoder(r.Body).Decode(&about) // an empty reply shows that there is none
	if r.PathValue("name") == "in" {
		_, _ = io.WriteString(w, `{"note": "be brief"}`)
		return
	}
	_, _ = w.Write(mustJSON(map[string]string{"reply": about.Reply + ", checked"}))
}

// wait waits until a call has acted.
func (d *desk) wait(t *testing.T) {
	t.Helper()
	select {
	case <-d.acted:
	case <-ctx(t).Done():
		t.Fatal("no tool was called")
	}
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

// place is a folder with a configuration, and a part of a store that several processes share.
type place struct {
	t     *testing.T
	dir   string
	store *store
	desk  *desk
	model *modeltest.Server
	llm   *httptest.Server
}

// world is what is configured in a place. DESK stands for the tool server's URL.
type world struct {
	store          *store // SQLite when nil
	lease, timeout string // of replicas and of calls; 1s each when empty
	drain          string // how long a server that leaves goes on serving; 500ms when empty
	recoveries     int    // without progress, before a turn is quarantined; 3 when 0
	agents         []string
	tools          []string // beside those of the table
}

var (
	everyTool = []string{"read", "idem", "once", "ask", "tell", "refuse"}
	basic     = world{agents: []string{"{name: a, model: local/m, tools: [read, idem, once, ask, tell, refuse]}"}}
)

// newPlace makes a place in which one tool of each effect class and policy can be called.
func newPlace(t *testing.T, w world) *place {
	t.Helper()
	p := &place{t: t, dir: t.TempDir(), desk: newDesk(t), store: w.store}
	if p.store == nil {
		p.store = openStore(t, "sqlite")
	}
	var err error
	if p.model, err = modeltest.NewServer(modeltest.ServerConfig{}); err != nil {
		t.Fatal(err)
	}
	p.llm = httptest.NewServer(p.model)
	t.Cleanup(func() { p.model.Close(); p.llm.Close() })
	p.script(nil, nil)
	effects := map[string]string{
		"read":   "effect: read_only",
		"idem":   "effect: idempotent",
		"once":   "effect: at_most_once, reconcile: {http: {url: \"DESK/done/{idempotency_key}\"}}",
		"ask":    "effect: at_most_once, on_doubt: ask",
		"tell":   "effect: at_most_once, on_doubt: tell",
		"refuse": "effect: at_most_once, refuses: duplicate_key",
	}
	tools := w.tools
	for _, name := range slices.Sorted(maps.Keys(effects)) {
		tools = append(tools, fmt.Sprintf("{name: %s, description: does it, timeout: TIMEOUT, parameters: {type: object}, http: {method: POST, url: \"DESK/do/%s\"}, %s}", name, name, effects[name]))
	}
	config := strings.NewReplacer(
		"TOOLS", "  - "+strings.Join(tools, "\n  - "), "AGENTS", "  - "+strings.Join(w.agents, "\n  - "),
		"SESSION", p.store.block(t, p), "MODEL", p.llm.URL+"/v1", "LEASE", cmp.Or(w.lease, "1s"),
		"DELAY", cmp.Or(w.drain, "500ms"), "RECOVERIES", strconv.Itoa(cmp.Or(w.recoveries, 3)),
	).Replace(`
log: {level: debug, format: json}
session: {SESSION}
execution: {lease_ttl: LEASE, sweep_interval: 200ms, max_recoveries: RECOVERIES, drain: {delay: DELAY, timeout: 10s}}
providers: {local: {type: openai_compatible, base_url: "MODEL"}}
tools:
TOOLS
agents:
AGENTS
`)
	config = strings.NewReplacer("DESK", p.desk.URL, "TIMEOUT", cmp.Or(w.timeout, "1s")).Replace(config)
	if err := os.WriteFile(p.config(), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if p.store.init {
		p.run("store", "init")
	}
	return p
}

func (p *place) config() string { return filepath.Join(p.dir, "config.yaml") }

// script makes the model call the tool that the prompt names, and then answer, after the rules that a test adds. steps
// are faults on the way.
func (p *place) script(more, steps []map[string]any) {
	p.t.Helper()
	rules := slices.Clip(more)
	for _, tool := range everyTool {
		rules = append(rules, map[string]any{
			"when":  "^use " + tool + "(?: (.*))?$",
			"calls": []map[string]any{{"tool": tool, "args": map[string]any{"n": "${1}"}}},
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
