package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model/modeltest"
)

func TestAServerAnswersAndLeavesOnSIGTERM(t *testing.T) {
	p := startServer(t, quickConfig(t, "127.0.0.1:1"))
	if got := p.mustAnswer("my name is Ada", "")["result"]; !strings.Contains(got.(string), "Ada") {
		t.Errorf("%v", got)
	}
	for path, want := range map[string]int{"/readyz": 200, "/livez": 200, "/health": 200, "/metrics": 200, "/openapi.json": 200} {
		if got, err := p.status(path); got != want || err != nil {
			t.Errorf("%s: %d, %v", path, got, err)
		}
	}
	p.signal(syscall.SIGTERM)
	if code := p.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestASecondServerOnAPortEndsAtOnceAndTouchesNothing(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	dir := quickConfig(t, "127.0.0.1:1")
	p := launch(t, dir, nil, "serve", "--port", port)
	if code := p.exit(); code != fault.ExitUnavailable {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{"Error: ", "in use", "Try: ", "--port 0"} {
		if !strings.Contains(p.said(), want) {
			t.Errorf("%q is not in %q", want, p.said())
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "store.db")); err == nil {
		t.Error("it made a store")
	}
}

func TestABadConfigurationIsToldAtOnceWithItsExitCode(t *testing.T) {
	for name, text := range map[string]string{
		"unknown key": "agnets: []",
		"no agent":    "log: {level: debug}",
		"no provider": "agents: [{name: a, model: x/y}]",
		"no YAML":     "agents: [",
		"no script":   "providers: {o: {type: scripted, script: /nowhere.json}}\nagents: [{name: a, model: o/m}]",
		"bad store":   "session: {sqlite: {path: /dev/null/x.db}}\nproviders: {o: {type: scripted}}\nagents: [{name: a, model: o/m}]",
		"lossy store": "session: {type: in_memory}\nproviders: {o: {type: scripted}}\ntools: [{name: t, http: {url: 'http://h/'}}]\nagents: [{name: a, model: o/m, tools: [t]}]",
	} {
		t.Run(name, func(t *testing.T) {
			p := launch(t, folder(t, text), nil, "serve", "--port", "0")
			if code := p.exit(); code != fault.ExitConfig || strings.Count(p.said(), "Error: ") != 1 {
				t.Errorf("exit code %d: %s", code, p.said())
			}
		})
	}
}

// stalling is a model's server that holds its answers until it is told to go on.
type stalling struct {
	*httptest.Server
	asked chan http.Header
	goOn  chan struct{}
	once  sync.Once
}

func newStalling(t *testing.T) *stalling {
	t.Helper()
	fake, err := modeltest.NewServer(modeltest.ServerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	s := &stalling{asked: make(chan http.Header, 16), goOn: make(chan struct{})}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked <- r.Header.Clone()
		select {
		case <-s.goOn:
			fake.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(func() {
		s.release()
		s.Close()
	})
	return s
}

func (s *stalling) release() { s.once.Do(func() { close(s.goOn) }) }

func (s *stalling) config(more string) string {
	return "session: {sqlite: {path: ./store.db}}\nexecution: {drain: {delay: 0s, timeout: 30s}}\n" +
		"providers: {fake: {type: openai_compatible, base_url: \"" + s.URL + "/v1\"" + more + "}}\nagents: [{name: a, model: fake/m}]\n"
}

func TestADrainWaitsForTheRunningTurnAndItsCallerGetsTheAnswer(t *testing.T) {
	s := newStalling(t)
	p := startServer(t, folder(t, s.config("")))
	answered := make(chan error, 1)
	var status int
	var body map[string]any
	go func() {
		var err error
		status, body, err = p.post("my name is Ada", "")
		answered <- err
	}()
	<-s.asked
	p.signal(syscall.SIGTERM)
	p.await("draining")
	if got, err := p.status("/readyz"); got != http.StatusServiceUnavailable || err != nil {
		t.Errorf("readyz: %d, %v", got, err)
	}
	s.release()
	if err := <-answered; err != nil || status != http.StatusOK || !strings.Contains(body["result"].(string), "Ada") {
		t.Errorf("%d %v, %v", status, body, err)
	}
	if code := p.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestADrainHandsARunningTurnOverToAnotherServer(t *testing.T) {
	s := newStalling(t)
	dir := folder(t, strings.Replace(s.config(""), "timeout: 30s", "timeout: 500ms", 1))
	leaving, staying := startServer(t, dir), startServer(t, dir)
	answered := make(chan error, 1)
	var status int
	var body map[string]any
	go func() {
		var err error
		status, body, err = leaving.post("my name is Ada", "k1")
		answered <- err
	}()
	<-s.asked
	leaving.signal(syscall.SIGTERM)
	<-s.asked // the other server asks the model for the same turn
	s.release()
	if err := <-answered; err != nil || status != http.StatusOK && status != http.StatusAccepted {
		t.Errorf("the caller: %d %v, %v", status, body, err)
	}
	if code := leaving.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	again := staying.mustAnswer("my name is Ada", "k1")
	if again["turn_id"] != body["turn_id"] || !strings.Contains(again["result"].(string), "Ada") {
		t.Errorf("%v, and then %v", body, again)
	}
	if n := len(s.asked); n != 0 {
		t.Errorf("the model was asked %d times more", n)
	}
}

func TestASecondSignalStopsHard(t *testing.T) {
	s := newStalling(t)
	p := startServer(t, folder(t, s.config("")))
	go func() { _, _, _ = p.post("hello", "") }()
	<-s.asked
	p.signal(os.Interrupt)
	p.await("draining")
	p.signal(os.Interrupt)
	if code := p.exit(); code != fault.ExitCancelled {
		t.Errorf("exit code %d", code)
	}
}

func TestSIGHUPReloadsKeysAndTheLogLevelAndNothingElse(t *testing.T) {
	s := newStalling(t)
	s.release()
	dir := folder(t, s.config(", api_key: \"<file:key>\""))
	write(t, filepath.Join(dir, "key"), "first-key")
	p := startServer(t, dir, "AK_SECRETS_PATH="+dir)
	ask := func(want string) {
		t.Helper()
		p.mustAnswer("hello", "")
		if got := (<-s.asked).Get("Authorization"); got != "Bearer "+want {
			t.Errorf("the provider was sent %q", got)
		}
	}
	ask("first-key")

	write(t, filepath.Join(dir, "key"), "second-key")
	p.signal(syscall.SIGHUP)
	p.await(`secrets and log level were reloaded"`)
	ask("second-key")

	write(t, filepath.Join(dir, "config.yaml"), "log: {level: debug}\n"+s.config(", api_key: \"<file:key>\"")+"  # and\ntools: [{name: x, http: {url: 'http://h/'}}]\n")
	p.signal(syscall.SIGHUP)
	p.await("need a restart")
	ask("second-key")

	write(t, filepath.Join(dir, "config.yaml"), "agnets: []")
	p.signal(syscall.SIGHUP)
	p.await("was not reloaded")
	ask("second-key")
	if strings.Contains(p.said(), "-key") {
		t.Error("the log shows a key")
	}
}

// A client whose server is killed in the middle of a charge sees the end of its turn at the next start, and the card was
// charged once.
func TestAClientSurvivesTheDeathOfItsServer(t *testing.T) {
	desk := newDesk(t)
	dir := quickConfig(t, strings.TrimPrefix(desk.URL, "http://"))
	first := startServer(t, dir, "AK_FAILPOINT=tool.after:1:kill")
	port := first.url[strings.LastIndexByte(first.url, ':')+1:]

	chat := exec.Command(akBinary, "chat", "--url", first.url, "--key", "k1", "charge order A-1 12.50")
	chat.Dir = dir
	var out, errs strings.Builder
	chat.Stdout, chat.Stderr = &out, &errs
	if err := chat.Start(); err != nil {
		t.Fatal(err)
	}
	if code := first.exit(); code != -1 {
		t.Fatalf("the server was not killed: exit code %d", code)
	}
	second := serverOn(t, dir, port)
	if err := chat.Wait(); err != nil {
		t.Fatalf("%v: %s%s", err, &out, &errs)
	}
	if !strings.Contains(out.String(), "I charged order A-1 with 12.5") || !strings.Contains(out.String(), "R-1") {
		t.Errorf("the client was told %q", &out)
	}
	again := second.mustAnswer("charge order A-1 12.50", "k1")
	if !strings.HasSuffix(strings.TrimSpace(out.String()), strings.TrimSpace(again["result"].(string))) {
		t.Errorf("the same key was answered %q, not %q", again["result"], &out)
	}
	if n := desk.charges.Load(); n != 1 {
		t.Errorf("%d charges", n)
	}
	second.signal(syscall.SIGTERM)
	if code := second.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	verify := exec.Command(akBinary, "verify")
	verify.Dir = dir
	if b, err := verify.CombinedOutput(); err != nil || !strings.Contains(string(b), "1 sound, 0 not") {
		t.Errorf("%v: %s", err, b)
	}
}
