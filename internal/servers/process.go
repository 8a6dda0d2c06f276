//go:build unix

package servers

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// startTime bounds how long a server takes until it answers.
const startTime = 60 * time.Second

// Find is the path of a program, looked for on the PATH and then by the patterns (of which the last match in the order
// of names counts). Where it is not, the test fails and says which package of Debian has it.
func Find(tb testing.TB, program, debian string, patterns ...string) string {
	tb.Helper()
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	for _, pattern := range patterns {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return found[len(found)-1]
		}
	}
	tb.Fatalf("%s is not installed, and this test needs it\ntry: apt-get install -y --no-install-recommends %s (make test does it, as root)", program, debian)
	return ""
}

// Port is a TCP port of 127.0.0.1 that nobody listens on now, and that no other call in this process returned. It is below
// the range that the system gives to outgoing connections, which could otherwise take it first.
func Port(tb testing.TB) int {
	tb.Helper()
	ports.Lock()
	defer ports.Unlock()
	for range 10000 {
		ports.next = ports.next%11000 + 1
		port := 20000 + (ports.next+os.Getpid()*37)%11000
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			_ = l.Close()
			return port
		}
	}
	tb.Fatal("no port of 127.0.0.1 is free")
	return 0
}

var ports struct {
	sync.Mutex
	next int
}

// Process is a server that was started.
type Process struct {
	tb   testing.TB
	name string
	cmd  *exec.Cmd
	log  output
	dead chan struct{}
}

// Run starts cmd as a server and waits until ready returns nil; ready is called again and again. The server is killed
// when the test ends; when the test has failed, what it said last is logged.
func Run(tb testing.TB, cmd *exec.Cmd, ready func(context.Context) error) *Process {
	tb.Helper()
	p := &Process{tb: tb, name: filepath.Base(cmd.Path), cmd: cmd, dead: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.log, &p.log
	cmd.WaitDelay = time.Second // what the server itself started may hold its output open
	if err := Start(cmd); err != nil {
		tb.Fatalf("%s does not start: %v", p.name, err)
	}
	go func() {
		defer close(p.dead)
		_ = cmd.Wait()
	}()
	tb.Cleanup(func() {
		p.Kill()
		if tb.Failed() {
			tb.Logf("%s (process %d) said last:\n%s", p.name, cmd.Process.Pid, p.log.tail())
		}
	})
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return p
		}
		select {
		case <-tick.C:
		case <-p.dead:
			tb.Fatalf("%s ended before it answered: %v", p.name, err)
		case <-ctx.Done():
			tb.Fatalf("%s does not answer after %s: %v", p.name, startTime, err)
		}
	}
}

// PID is the server's process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Kill ends the server at once, as kill -9 does, also a frozen one, and waits until it is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.dead
}

// Freeze stops the server where it is: its connections stay open and nothing answers.
func (p *Process) Freeze() { p.signal(syscall.SIGSTOP) }

// Thaw lets a frozen server go on.
func (p *Process) Thaw() { p.signal(syscall.SIGCONT) }

// Terminate asks the server to end, and waits until it has.
func (p *Process) Terminate() {
	p.signal(syscall.SIGTERM)
	<-p.dead
}

func (p *Process) signal(s syscall.Signal) {
	p.tb.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.tb.Errorf("%s: %v", p.name, err)
	}
}

// Log is what the server said last.
func (p *Process) Log() string { return p.log.tail() }

// Listens reports whether something accepts connections at an address.
func Listens(address string) func(context.Context) error {
	return func(ctx context.Context) error {
		c, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", address)
		if err == nil {
			_ = c.Close()
		}
		return err
	}
}

// output keeps the end of what is written to it.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

const keepOutput = 16 << 10 // bytes

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.b.Write(p)
	if over := o.b.Len() - 2*keepOutput; over > 0 {
		o.b.Next(over + keepOutput)
	}
	return len(p), nil
}

func (o *output) tail() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.b.String()
	if len(s) > keepOutput {
		s = s[len(s)-keepOutput:]
	}
	return strings.TrimSpace(s)
}
