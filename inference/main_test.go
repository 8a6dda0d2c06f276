package inference

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

var binary string // ak

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "ak-inference")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "ak")
	build := exec.Command("go", "build", "-o", binary, "../cmd/ak")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "the binary does not build:", err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	http.DefaultClient.CloseIdleConnections()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// process is a program that tells on its output when it is ready.
type process struct {
	cmd   *exec.Cmd
	lines chan string   // what it wrote; nobody has to read it
	dead  chan struct{} // closed when it has ended
	mu    sync.Mutex
	log   bytes.Buffer
}

// start starts cmd, and kills it at the end of the test.
func start(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, lines: make(chan string, 10_000), dead: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &writer{p: p}, &writer{p: p}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = cmd.Wait()
		close(p.dead)
	}()
	t.Cleanup(func() {
		p.kill(t)
		if t.Failed() {
			p.mu.Lock()
			defer p.mu.Unlock()
			t.Logf("process %d said:\n%s", cmd.Process.Pid, p.log.Bytes()[max(0, p.log.Len()-2000):])
		}
	})
	return p
}

// kill is SIGKILL, which leaves a process no time for a last word.
func (p *process) kill(t *testing.T) {
	t.Helper()
	_ = p.cmd.Process.Kill()
	select {
	case <-p.dead:
	case <-time.After(30 * time.Second):
		t.Fatal("the process does not end")
	}
}

// says waits for a line in which find finds something.
func (p *process) says(t *testing.T, find func(line string) string) string {
	t.Helper()
	timeout := time.After(30 * time.Second)
	for {
		select {
		case line := <-p.lines:
			if found := find(line); found != "" {
				return found
			}
		case <-p.dead:
			t.Fatal("the process ended before it was ready")
		case <-timeout:
			t.Fatal("the process is not ready after 30 s")
		}
	}
}

// writer takes one of a process's outputs apart into lines.
type writer struct {
	p    *process
	rest []byte
}

func (w *writer) Write(b []byte) (int, error) {
	w.p.mu.Lock()
	w.p.log.Write(b)
	w.p.mu.Unlock()
	w.rest = append(w.rest, b...)
	for {
		line, rest, whole := bytes.Cut(w.rest, []byte("\n"))
		if !whole {
			return len(b), nil
		}
		w.rest = rest
		select {
		case w.p.lines <- string(line):
		default:
		}
	}
}
