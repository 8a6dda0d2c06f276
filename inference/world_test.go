package inference

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
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// engine is the inference engine: a front, which is the process, and the worker that it started.
type engine struct {
	*process
	port   string
	worker int // process id
}

// newEngine starts an engine at a port, "0" for a free one. env are variables that engine.cjs describes.
func newEngine(t *testing.T, port string, env ...string) *engine {
	t.Helper()
	const folder = "testdata/engine"
	if _, err := os.Stat(folder + "/node_modules/installed.json"); err != nil {
		t.Fatal("the inference engine is not installed\n    Try: make engine")
	}
	cmd := exec.Command("node", folder+"/engine.cjs", "testdata/model/ak-tiny.gguf", port)
	cmd.Env = append(os.Environ(), env...)
	e := &engine{process: start(t, cmd)}
	e.newWorker(t)
	e.port = e.says(t, after("listening "))
	return e
}

// after finds what a line has after its beginning.
func after(beginning string) func(line string) string {
	return func(line string) string {
		if rest, ok := strings.CutPrefix(line, beginning); ok {
			return rest
		}
		return ""
	}
}

// newWorker waits for a worker to be ready.
func (e *engine) newWorker(t *testing.T) {
	t.Helper()
	var err error
	if e.worker, err = strconv.Atoi(e.says(t, after("worker "))); err != nil {
		t.Fatal(err)
	}
}

// killWorker kills the process that holds the model, and waits until the front has started another one.
func (e *engine) killWorker(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(e.worker, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	e.newWorker(t)
}

// desk is the weather service.
type desk struct {
	*httptest.Server
	mu    sync.Mutex
	calls []string
}

var degrees = map[string]int{"Oslo": 21, "Rome": 33}

func newDesk(t *testing.T) *desk {
	d := &desk{}
	d.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var args bytes.Buffer
		_ = json.Compact(&args, body) // a model's spaces are its own
		d.mu.Lock()
		d.calls = append(d.calls, r.URL.Path+" "+args.String())
		d.mu.Unlock()
		var call struct {
			City string
			A, B int
		}
		_ = json.Unmarshal(body, &call)
		if r.URL.Path == "/add" {
			_, _ = fmt.Fprintf(w, `{"sum": %d}`, call.A+call.B)
			return
		}
		_, _ = fmt.Fprintf(w, `{"temp_c": %d, "sky": "sunny"}`, degrees[call.City])
	}))
	t.Cleanup(d.Close)
	return d
}

func (d *desk) asked() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.calls)
}

// world is an ak process over a database, an engine and a desk.
type world struct {
	*process
	dir    string
	url    string
	engine *engine
	desk   *desk
}

const settings = `
log: {level: debug, format: json}
session: {type: sqlite, sqlite: {path: %q}}
execution: {lease_ttl: 1s, sweep_interval: 200ms, drain: {delay: 0s, timeout: 5s}}
providers: {local: {type: openai_compatible, base_url: "http://127.0.0.1:%s/v1"}}
tools:
  - name: get_weather
    description: The weather in a city.
    effect: read_only
    parameters: {type: object, properties: {city: {type: string}}, required: [city]}
    http: {method: POST, url: "%[3]s/get_weather"}
  - name: add
    description: The sum of two numbers.
    effect: read_only
    parameters: {type: object, properties: {a: {type: integer}, b: {type: integer}}, required: [a, b]}
    http: {method: POST, url: "%[3]s/add"}
agents:
  - {name: worker, model: local/ak-tiny, tools: [get_weather, add]}
  - {name: talker, model: local/ak-tiny}
  - name: former
    model: local/ak-tiny
    output_schema:
      type: object
      properties: {city: {type: string, enum: [Oslo, Rome]}, sunny: {type: boolean}}
      required: [city, sunny]
      additionalProperties: false
`

func newWorld(t *testing.T, env ...string) *world {
	t.Helper()
	w := &world{dir: t.TempDir(), engine: newEngine(t, "0", env...), desk: newDesk(t)}
	config := fmt.Sprintf(settings, filepath.Join(w.dir, "ak.db"), w.engine.port, w.desk.URL)
	if err := os.WriteFile(filepath.Join(w.dir, "config.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	w.serve(t)
	return w
}

var listening = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

// serve starts ak, again if it was killed.
func (w *world) serve(t *testing.T) {
	t.Helper()
	cmd := exec.Command(binary, "serve", "--config", filepath.Join(w.dir, "config.yaml"), "--port", "0")
	cmd.Dir = w.dir
	w.process = start(t, cmd)
	w.url = w.says(t, listening.FindString)
}

// answer is what a client is told: of a turn, or a problem.
type answer struct {
	Status   int             `json:"-"`
	Turn     string          `json:"turn_id"`
	State    string          `json:"state"`
	Result   string          `json:"result"`
	Value    json.RawMessage `json:"value"`
	Input    int             `json:"tokens_in"`
	Output   int             `json:"tokens_out"`
	Code     string          `json:"code"` // of a problem
	Degraded []struct {
		What string `json:"what"`
	} `json:"degraded"`
	Error json.RawMessage `json:"error"` // of a turn an object, of a problem its text
}

func (w *world) do(t *testing.T, method, path string, header http.Header, body any) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(ctx, method, w.url+path, bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

func (w *world) ask(t *testing.T, method, path, key string, body any) (a answer) {
	t.Helper()
	header := http.Header{}
	if key != "" {
		header.Set("Idempotency-Key", key)
	}
	res := w.do(t, method, path, header, body)
	if err := json.NewDecoder(res.Body).Decode(&a); err != nil {
		t.Fatal(err)
	}
	a.Status = res.StatusCode
	return a
}

func (w *world) chat(t *testing.T, agent, prompt string) answer {
	t.Helper()
	return w.ask(t, http.MethodPost, "/api/v1/chat", "key", message(agent, prompt))
}

func message(agent, prompt string) map[string]any {
	return map[string]any{"session_id": "s", "agent": agent, "prompt": prompt}
}

// event is one of a stream.
type event struct {
	name string
	data struct {
		answer
		Text string `json:"text"`
	}
}

// stream asks like chat and reads what comes.
func (w *world) stream(t *testing.T, agent, prompt string) func() (event, error) {
	t.Helper()
	header := http.Header{"Accept": {"text/event-stream"}, "Idempotency-Key": {"key"}}
	return events(w.do(t, http.MethodPost, "/api/v1/chat", header, message(agent, prompt)))
}

// follow reads the stream of a turn to its end.
func (w *world) follow(t *testing.T, turn string) event {
	t.Helper()
	return last(t, events(w.do(t, http.MethodGet, "/api/v1/turns/"+turn+"/events", http.Header{}, nil)))
}

func events(res *http.Response) func() (event, error) {
	lines := bufio.NewScanner(res.Body)
	return func() (e event, err error) {
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "event":
				e.name = value
			case "data":
				return e, json.Unmarshal([]byte(value), &e.data)
			}
		}
		return e, io.ErrUnexpectedEOF
	}
}

// last is the event that ends the stream.
func last(t *testing.T, next func() (event, error)) event {
	t.Helper()
	for {
		switch e, err := next(); {
		case err != nil:
			t.Fatal(err)
		case e.name == "done" || e.name == "problem":
			return e
		}
	}
}

// text reads until some of the answer's text has come, and returns the turn's id.
func text(t *testing.T, next func() (event, error)) (turn string) {
	t.Helper()
	for {
		e, err := next()
		switch {
		case err != nil:
			t.Fatal(err)
		case e.name == "turn.accepted":
			turn = e.data.Turn
		case e.name == "delta" && e.data.Text != "":
			return turn
		case e.name == "done":
			t.Fatalf("the turn ended before any text came: %+v", e)
		}
	}
}
