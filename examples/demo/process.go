package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is a server that this program started.
type process struct {
	cmd  *exec.Cmd
	url  string // as it announced it
	done chan struct{}

	mu  sync.Mutex
	log bytes.Buffer
}

var announced = regexp.MustCompile(`at (http://[0-9.:]+)`)

// launch starts a server and waits until it says where it is.
func launch(ctx context.Context, env []string, name string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(name, args...), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	out, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w (make demo builds it)", err)
	}
	ready := make(chan string, 1)
	go func() {
		defer close(p.done)
		p.read(out, ready)
		_ = p.cmd.Wait() // the state says how it ended
	}()
	select {
	case p.url = <-ready:
		return p, nil
	case <-p.done:
		return nil, fmt.Errorf("%s ended at once:\n%s", name, p.said())
	case <-time.After(patience):
		p.kill()
		return nil, fmt.Errorf("%s did not say where it listens", name)
	case <-ctx.Done():
		p.kill()
		return nil, ctx.Err()
	}
}

// read keeps what the process says and finds its address in it.
func (p *process) read(r io.Reader, ready chan<- string) {
	for in := bufio.NewScanner(r); in.Scan(); {
		p.mu.Lock()
		p.log.WriteString("   " + in.Text() + "\n")
		p.mu.Unlock()
		if m := announced.FindStringSubmatch(in.Text()); m != nil && ready != nil {
			ready <- m[1]
			ready = nil
		}
	}
}

func (p *process) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) terminate() { _ = p.cmd.Process.Signal(syscall.SIGTERM) }

// kill ends the process and waits until it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// wait waits until the process ends by itself.
func (p *process) wait(ctx context.Context) (*os.ProcessState, error) {
	select {
	case <-p.done:
		return p.cmd.ProcessState, nil
	case <-time.After(patience):
		return nil, errors.New("the server did not end")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// chat asks with a stream of events, and follows it to the turn's end. An error means that the stream broke.
func (p *process) chat(ctx context.Context, prompt, key string, f func(string, map[string]any)) error {
	res, err := p.send(ctx, http.MethodPost, "/api/v1/chat", prompt, key, "text/event-stream")
	if err != nil {
		return err
	}
	return follow(res, f)
}

// events follows a turn from its beginning to its end.
func (p *process) events(ctx context.Context, turn string, f func(string, map[string]any)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	res, err := p.send(ctx, http.MethodGet, "/api/v1/turns/"+turn+"/events", "", "", "text/event-stream")
	if err != nil {
		return err
	}
	return follow(res, f)
}

// post asks and waits for the answer.
func (p *process) post(ctx context.Context, prompt, key string) (int, map[string]any, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	res, err := p.send(ctx, http.MethodPost, "/api/v1/chat", prompt, key, "application/json")
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = res.Body.Close() }()
	var answer map[string]any
	err = json.NewDecoder(res.Body).Decode(&answer)
	return res.StatusCode, answer, err
}

func (p *process) send(ctx context.Context, method, path, prompt, key, accept string) (*http.Response, error) {
	var body io.Reader
	if prompt != "" {
		b, err := json.Marshal(map[string]string{"prompt": prompt})
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, p.url+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accept)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", key)
	}
	return http.DefaultClient.Do(req)
}

// follow reads server-sent events up to the one that ends a turn.
func follow(res *http.Response, f func(string, map[string]any)) error {
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(io.LimitReader(res.Body, 4096))
		return fmt.Errorf("the server answered %d: %s", res.StatusCode, b)
	}
	typ := ""
	for in := bufio.NewScanner(res.Body); in.Scan(); {
		if name, ok := strings.CutPrefix(in.Text(), "event: "); ok {
			typ = name
		}
		text, ok := strings.CutPrefix(in.Text(), "data: ")
		if !ok {
			continue
		}
		var data map[string]any
		if err := json.Unmarshal([]byte(text), &data); err != nil {
			return err
		}
		if typ == "delta" {
			continue // the pieces of a text that comes whole at the end
		}
		f(typ, data)
		if typ == "done" {
			return nil
		}
	}
	return errors.New("the stream broke")
}
