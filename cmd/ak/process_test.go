package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// patient bounds every wait for another process. A loaded machine may be slow; a test that fails has all the time.
const patient = time.Minute

// process is ak as a process of its own.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	url  string
	done chan struct{}

	mu     sync.Mutex
	lines  []string
	change chan struct{} // closed at every line
}

// start runs ak with an environment that holds nothing of the tester's own.
func launch(t *testing.T, dir string, env []string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(akBinary, args...), done: make(chan struct{}), change: make(chan struct{})}
	p.cmd.Dir = dir
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}, env...)
	out, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stdout = p.cmd.Stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		p.read(out)
		_ = p.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
		if t.Failed() {
			t.Logf("ak %s said:\n%s", strings.Join(args, " "), p.said())
		}
	})
	return p
}

func (p *process) read(r io.Reader) {
	for in := bufio.NewScanner(r); in.Scan(); {
		p.mu.Lock()
		p.lines = append(p.lines, in.Text())
		close(p.change)
		p.change = make(chan struct{})
		p.mu.Unlock()
	}
}

func (p *process) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines, "\n")
}

// await waits until the process writes something that matches, and returns the groups.
func (p *process) await(pattern string) []string {
	p.t.Helper()
	want := regexp.MustCompile(pattern)
	limit := time.After(patient)
	for {
		p.mu.Lock()
		change := p.change
		for _, line := range p.lines {
			if m := want.FindStringSubmatch(line); m != nil {
				p.mu.Unlock()
				return m
			}
		}
		p.mu.Unlock()
		select {
		case <-change:
		case <-p.done:
			if want.MatchString(p.said()) {
				continue
			}
			p.t.Fatalf("ak ended (%s) before it said %q:\n%s", p.cmd.ProcessState, pattern, p.said())
		case <-limit:
			p.t.Fatalf("ak did not say %q:\n%s", pattern, p.said())
		}
	}
}

// exit waits until the process has ended and returns its exit code; -1 means that a signal killed it.
func (p *process) exit() int {
	p.t.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patient):
		p.t.Fatal("ak did not end")
	}
	return 0
}

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// startServer runs ak serve on a free port in a folder with config.yaml, and waits until it says where it is.
func startServer(t *testing.T, dir string, env ...string) *process {
	t.Helper()
	return serverOn(t, dir, "0", env...)
}

func serverOn(t *testing.T, dir, port string, env ...string) *process {
	t.Helper()
	return served(launch(t, dir, env, "serve", "--port", port))
}

// serverWith runs ak serve on a free port with further arguments.
func serverWith(t *testing.T, dir string, args ...string) *process {
	t.Helper()
	return served(launch(t, dir, nil, append([]string{"serve", "--port", "0"}, args...)...))
}

// served waits until a server says where it is.
func served(p *process) *process {
	p.t.Helper()
	p.url = p.await(`serves .* at (http://[^ ]+)`)[1]
	return p
}

// quickConfig is a folder with a configuration for a fast server on a scripted model, whose tools are at a host.
func quickConfig(t *testing.T, tools string) string {
	t.Helper()
	return folder(t, fmt.Sprintf(`
session: {sqlite: {path: ./store.db}}
execution: {lease_ttl: 1s, sweep_interval: 100ms, drain: {delay: 0s, timeout: 10s}}
providers: {offline: {type: scripted}}
tools:
  - name: charge_card
    timeout: 2s
    parameters: {type: object, properties: {order: {type: string}, amount: {type: number}}, required: [order, amount]}
    http: {url: "http://%[1]s/charge"}
    reconcile: {http: {url: "http://%[1]s/charge/{idempotency_key}"}}
agents:
  - {name: assistant, description: helps, model: offline/demo, tools: [charge_card]}
`, tools))
}

func folder(t *testing.T, config string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "config.yaml"), config)
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// post asks an agent and returns the status and the body.
func (p *process) post(prompt, key string) (int, map[string]any, error) {
	b, err := json.Marshal(map[string]string{"prompt": prompt})
	if err != nil {
		return 0, nil, err
	}
	req, err := http.NewRequest(http.MethodPost, p.url+"/api/v1/chat", bytes.NewReader(b))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	hc := http.Client{Timeout: patient, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := hc.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = res.Body.Close() }()
	var body map[string]any
	err = json.NewDecoder(res.Body).Decode(&body)
	return res.StatusCode, body, err
}

func (p *process) mustAnswer(prompt, key string) map[string]any {
	p.t.Helper()
	status, body, err := p.post(prompt, key)
	if err != nil || status != http.StatusOK {
		p.t.Fatalf("%d %v, %v", status, body, err)
	}
	return body
}

func (p *process) status(path string) (int, error) {
	hc := http.Client{Timeout: patient, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := hc.Get(p.url + path)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, errors.Join(err, res.Body.Close())
}
