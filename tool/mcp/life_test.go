package mcptool

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel/fault"
)

func TestAServerThatCannotBeUsedIsToldAtTheStart(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	teapot := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }))
	defer teapot.Close()
	guarded := webProcess(t, "API_TOKEN="+token)
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("no program"), 0o600); err != nil {
		t.Fatal(err)
	}
	role := func(r string) Spec { s, _ := stdio(t, r); s.StartTimeout = 5 * time.Second; return s }
	silent := role("silent")
	silent.StartTimeout = 300 * time.Millisecond
	for name, c := range map[string]struct {
		spec Spec
		kind fault.Kind
		want string
	}{
		"no such program": {Spec{Name: "a", Command: []string{"ak-no-such-program"}}, fault.Config, "cannot be started"},
		"no program":      {Spec{Name: "a", Command: []string{script}}, fault.Config, "cannot be started"},
		"ends at once":    {role("exit"), fault.Unavailable, "exit status 3; the last it wrote to its standard error: no licence found, key was ***"},
		"garbage":         {role("garbage"), fault.Unavailable, "cannot be used"},
		"silent":          {silent, fault.Unavailable, "in time"},
		"nobody there":    {Spec{Name: "a", URL: "http://user:hush-hush@" + closed.Addr().String() + "/x?key=hush-hush"}, fault.Unavailable, "cannot be used"},
		"redirect":        {Spec{Name: "a", URL: teapot.URL}, fault.Config, "302"},
		"wrong key":       {Spec{Name: "a", URL: "http://" + guarded.addr, Headers: map[string]string{"Authorization": "Bearer hush-hush"}}, fault.Config, "401"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Connect(t.Context(), c.spec)
			if fault.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) {
				t.Errorf("kind %q: %v", fault.KindOf(err), err)
			}
			if err != nil && (strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), token)) {
				t.Errorf("it tells a secret: %v", err)
			}
		})
	}
}

func TestAProgramKilledInMidCallLeavesDoubtAndIsStartedAgain(t *testing.T) {
	for _, name := range []string{"srv_die", "srv_garbage"} {
		t.Run(name, func(t *testing.T) {
			s, log := stdio(t, "stdio")
			c := connect(t, s)
			_, err := tool(t, c, name).Call(t.Context(), call(`{}`))
			if !unclear(err) {
				t.Errorf("%v", err)
			}
			if n := len(traces(t, log)); n != 1 {
				t.Errorf("%d calls arrived", n)
			}
			got, err := tool(t, c, "srv_echo").Call(within(t, 20*time.Second), call(`{}`))
			if err != nil {
				t.Errorf("the next call: %q %v", got, err)
			}
		})
	}
}

func TestAProgramThatKeepsDyingIsLeftAloneForAWhile(t *testing.T) {
	s, log := stdio(t, "stdio")
	c := connect(t, s)
	var clock atomic.Int64
	c.mu.Lock()
	c.now = func() time.Time { return time.Unix(clock.Load(), 0) }
	c.live.began = c.now()
	c.mu.Unlock()
	die := func() error {
		_, err := tool(t, c, "srv_die").Call(within(t, 20*time.Second), call(`{}`))
		return err
	}
	for i := range 2 {
		if err := die(); !unclear(err) {
			t.Fatalf("death %d: %v", i, err)
		}
		until(t, "the end of the connection", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.live == nil })
	}
	err := die()
	if unclear(err) || fault.KindOf(err) != fault.Unavailable || fault.After(err) <= 0 || !strings.Contains(err.Error(), "not sent") {
		t.Errorf("a call in the pause: %v", err)
	}
	if n := len(traces(t, log)); n != 2 {
		t.Errorf("%d calls arrived", n)
	}
	clock.Add(60)
	if _, err := tool(t, c, "srv_echo").Call(within(t, 20*time.Second), call(`{}`)); err != nil {
		t.Errorf("after the pause: %v", err)
	}
}

func TestAToolThatIsGoneAfterARestartIsAnError(t *testing.T) {
	s, log := stdio(t, "stdio")
	s.Env["MCP_TOOLS"] = filepath.Join(t.TempDir(), "tools")
	write := func(names string) {
		if err := os.WriteFile(s.Env["MCP_TOOLS"], []byte(names), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("die echo")
	c := connect(t, s)
	write("die other")
	if _, err := tool(t, c, "srv_die").Call(t.Context(), call(`{}`)); !unclear(err) {
		t.Fatal(err)
	}
	_, err := tool(t, c, "srv_echo").Call(within(t, 20*time.Second), call(`{}`))
	if fault.KindOf(err) != fault.NotFound || unclear(err) || len(traces(t, log)) != 1 {
		t.Errorf("%v", err)
	}
}

func TestCloseKillsWhatTheProgramLeftBehind(t *testing.T) {
	s, _ := stdio(t, "stdio")
	c := connect(t, s)
	got, err := tool(t, c, "srv_litter").Call(t.Context(), call(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for field := range strings.FieldsSeq(got) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		until(t, "the end of process "+field, func() bool { return !alive(pid) })
	}
}

// TestAProgramDiesWithItsParent starts a parent that starts a server, and kills the parent.
func TestAProgramDiesWithItsParent(t *testing.T) {
	if file := os.Getenv("MCP_PARENT"); file != "" {
		s, _ := stdio(t, "silent")
		if problems := s.check(); problems != nil {
			t.Fatal(problems)
		}
		p, err := start(&s, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(strconv.Itoa(p.pid)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		<-p.done
		return
	}
	file := filepath.Join(t.TempDir(), "pid")
	parent := exec.Command(os.Args[0], "-test.run=^TestAProgramDiesWithItsParent$")
	parent.Env = append(os.Environ(), "MCP_PARENT="+file)
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	until(t, "the server", func() bool {
		b, err := os.ReadFile(file)
		if err != nil || !strings.HasSuffix(string(b), "\n") {
			return false
		}
		pid, err = strconv.Atoi(strings.TrimSpace(string(b)))
		return err == nil
	})
	if !alive(pid) {
		t.Fatal("the server is not there")
	}
	_ = parent.Process.Signal(syscall.SIGKILL)
	_ = parent.Wait()
	until(t, "the server's end", func() bool { return !alive(pid) })
}

func TestAnHTTPServerKilledInMidCallLeavesDoubtAndItsSuccessorIsUsed(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	w := webProcess(t, "MCP_LOG="+log)
	c := connect(t, w.spec())
	done := make(chan error)
	go func() {
		_, err := tool(t, c, "srv_hang").Call(within(t, 20*time.Second), call(`{}`))
		done <- err
	}()
	until(t, "the call", func() bool { return len(traces(t, log)) == 1 })
	w.kill()
	if err := <-done; !unclear(err) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	_, err := tool(t, c, "srv_echo").Call(within(t, 20*time.Second), call(`{}`))
	if err == nil || unclear(err) {
		t.Errorf("a call while it is down: %v", err)
	}
	w.start()
	c.mu.Lock()
	c.notyet = time.Time{}
	c.mu.Unlock()
	if got, err := tool(t, c, "srv_echo").Call(within(t, 20*time.Second), call(`{}`)); err != nil {
		t.Errorf("a call to the successor: %q %v", got, err)
	}
	if got := traces(t, log); len(got) != 2 {
		t.Errorf("%v", got)
	}
}

func TestAnHTTPServerThatForgotTheSessionIsGivenTheCallAgain(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	w := webProcess(t, "MCP_LOG="+log)
	c := connect(t, w.spec())
	w.kill()
	w.start() // on the same address, between two calls
	if got, err := tool(t, c, "srv_echo").Call(within(t, 20*time.Second), call(`{}`)); err != nil {
		t.Errorf("%q %v", got, err)
	}
	if got := traces(t, log); len(got) != 1 {
		t.Errorf("%v", got)
	}
}
