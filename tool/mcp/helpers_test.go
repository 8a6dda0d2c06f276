package mcptool

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel"
)

const token = "tok-8d1f00aa"

// stdio is a spec of this binary as a server, and the file in which its tools leave their traces.
func stdio(t *testing.T, role string) (Spec, string) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "log")
	return Spec{
		Name: "srv", Command: []string{os.Args[0]}, StartTimeout: 20 * time.Second,
		Env: map[string]string{"MCP_ROLE": role, "MCP_LOG": log, "API_TOKEN": token, "GORACE": "atexit_sleep_ms=0"},
	}, log
}

func connect(t *testing.T, s Spec) *Client {
	t.Helper()
	c, err := Connect(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func tool(t *testing.T, c *Client, name string) *agentkernel.Tool {
	t.Helper()
	for _, tool := range c.Tools() {
		if tool.Name == name {
			return tool
		}
	}
	t.Fatalf("there is no tool %s", name)
	return nil
}

func call(args string) agentkernel.ToolCall {
	return agentkernel.ToolCall{Args: json.RawMessage(args), Key: "key-1", Epoch: 7, Session: "s", Turn: "t"}
}

// unclear reports whether an error is marked as one that leaves the outcome open.
func unclear(err error) bool {
	mark := reflect.TypeOf(agentkernel.Unclear(errors.New("")))
	for ; err != nil; err = errors.Unwrap(err) {
		if reflect.TypeOf(err) == mark {
			return true
		}
	}
	return false
}

// traces are the lines that a server's tools left.
func traces(t *testing.T, log string) []string {
	t.Helper()
	b, err := os.ReadFile(log)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.FieldsFunc(string(b), func(r rune) bool { return r == '\n' })
}

// until waits for a condition of another process.
func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !f() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s did not come about", what)
		}
	}
}

// alive reports whether a process runs; one that nobody has collected yet does not.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || !strings.Contains(string(stat), ") Z ")
}

// web server in a process of its own.
type webServer struct {
	t    *testing.T
	env  []string
	addr string
	cmd  *exec.Cmd
}

// webProcess starts this binary as an HTTP server.
func webProcess(t *testing.T, env ...string) *webServer {
	t.Helper()
	w := &webServer{t: t, env: env, addr: "127.0.0.1:0"}
	w.start()
	t.Cleanup(w.kill)
	return w
}

func (w *webServer) start() {
	w.t.Helper()
	w.cmd = exec.Command(os.Args[0])
	w.cmd.Env = append(os.Environ(), append(w.env, "MCP_ROLE=http", "MCP_ADDR="+w.addr)...)
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || strings.HasPrefix(line, "error") {
		w.t.Fatalf("the server did not start: %s %v", line, err)
	}
	w.addr = strings.TrimSpace(line)
}

func (w *webServer) kill() {
	_ = w.cmd.Process.Kill()
	_ = w.cmd.Wait()
}

func (w *webServer) spec() Spec {
	return Spec{Name: "srv", URL: "http://" + w.addr + "/mcp", StartTimeout: 20 * time.Second}
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
