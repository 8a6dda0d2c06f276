package mcptool

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel/fault"
)

// both runs a test against a program and against an HTTP server.
func both(t *testing.T, f func(t *testing.T, c *Client, log string)) {
	t.Run("stdio", func(t *testing.T) {
		s, log := stdio(t, "stdio")
		f(t, connect(t, s), log)
	})
	t.Run("http", func(t *testing.T) {
		log := filepath.Join(t.TempDir(), "log")
		w := webProcess(t, "MCP_LOG="+log, "API_TOKEN="+token)
		s := w.spec()
		s.Headers = map[string]string{"Authorization": "Bearer " + token}
		f(t, connect(t, s), log)
	})
}

func TestResultsAreShownAsText(t *testing.T) {
	both(t, func(t *testing.T, c *Client, _ string) {
		for _, x := range []struct{ tool, args, want string }{
			{"srv_echo", `{"n":1}`, `{"args":{"n":1},"epoch":7,"key":"key-1"}`},
			{"srv_add", ``, `{"sum": 3}`},
			{"srv_picture", `{}`, "a cat\n[image, image/png, 4 bytes: not shown]\nwords\n[resource b: file:///b]\n{\"cats\":1}"},
		} {
			got, err := tool(t, c, x.tool).Call(t.Context(), call(x.args))
			if err != nil || got != x.want {
				t.Errorf("%s: %q %v", x.tool, got, err)
			}
		}
	})
}

func TestWhatIsAnErrorAndWhatIsInDoubt(t *testing.T) {
	both(t, func(t *testing.T, c *Client, log string) {
		for _, x := range []struct {
			tool, args, want string
			doubt            bool
			kind             fault.Kind
			sent             bool
		}{
			{"srv_fail", `{}`, "no such order; I used ***", false, fault.Unknown, true},
			{"srv_broken", `{}`, "database is on fire", true, fault.Transient, true},
			{"srv_echo", `{"n":"x"}`, "do not fit", false, fault.BadRequest, false},
			{"srv_echo", `[]`, "no JSON object", false, fault.BadRequest, false},
			{"srv_echo", `{"other":1}`, "do not fit", false, fault.BadRequest, false},
		} {
			before := len(traces(t, log))
			_, err := tool(t, c, x.tool).Call(t.Context(), call(x.args))
			if err == nil || !strings.Contains(err.Error(), x.want) || unclear(err) != x.doubt || fault.KindOf(err) != x.kind {
				t.Errorf("%s %s: %v, in doubt %t, kind %s", x.tool, x.args, err, unclear(err), fault.KindOf(err))
			}
			if sent := len(traces(t, log)) > before; sent != x.sent {
				t.Errorf("%s %s: sent %t", x.tool, x.args, sent)
			}
		}
		gone := &remote{c: c, name: "echo"}
		l, err := c.connected(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, err = gone.send(t.Context(), l, call(`{}`), []byte(`{}`))
		if err != nil {
			t.Error(err)
		}
		_, err = (&remote{c: c, name: "nope"}).send(t.Context(), l, call(`{}`), []byte(`{}`)) // as if it were still listed
		if err == nil || unclear(err) || fault.KindOf(err) != fault.BadRequest {
			t.Errorf("an unknown tool: %v", err)
		}
	})
}

func TestASilentCallIsInDoubtWhenItsTimeIsOver(t *testing.T) {
	both(t, func(t *testing.T, c *Client, log string) {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			until(t, "the call", func() bool { return len(traces(t, log)) > 0 })
			cancel()
		}()
		_, err := tool(t, c, "srv_hang").Call(ctx, call(`{}`))
		if !unclear(err) || fault.KindOf(err) != fault.Cancelled {
			t.Errorf("%v", err)
		}
		if got, err := tool(t, c, "srv_echo").Call(t.Context(), call(`{}`)); err != nil {
			t.Errorf("the next call: %q %v", got, err)
		}
	})
}

func TestCallsAtTheSameTimeDoNotDisturbEachOther(t *testing.T) {
	both(t, func(t *testing.T, c *Client, _ string) {
		var wg sync.WaitGroup
		for i := range 32 {
			wg.Go(func() {
				got, err := tool(t, c, "srv_echo").Call(t.Context(), call(`{"n":`+strconv.Itoa(i)+`}`))
				if err != nil || !strings.Contains(got, `{"n":`+strconv.Itoa(i)+`}`) {
					t.Errorf("%d: %q %v", i, got, err)
				}
			})
		}
		wg.Wait()
	})
}

func TestCloseInterruptsCallsAndNothingIsSentAfterwards(t *testing.T) {
	both(t, func(t *testing.T, c *Client, log string) {
		done := make(chan error)
		go func() {
			_, err := tool(t, c, "srv_hang").Call(t.Context(), call(`{}`))
			done <- err
		}()
		until(t, "the call", func() bool { return len(traces(t, log)) > 0 })
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; !unclear(err) {
			t.Errorf("%v", err)
		}
		_, err := tool(t, c, "srv_echo").Call(t.Context(), call(`{}`))
		if err == nil || unclear(err) || fault.KindOf(err) != fault.Unavailable {
			t.Errorf("%v", err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestAProgramGetsNoSecretsOfItsParent(t *testing.T) {
	t.Setenv("SECRET_OF_THE_PARENT", "hush-hush")
	s, _ := stdio(t, "stdio")
	var out lockedBuffer
	s.Logger = slog.New(slog.NewTextHandler(&out, nil))
	c := connect(t, s)
	got, err := tool(t, c, "srv_big").Call(t.Context(), call(`{}`))
	if want := "|***|" + os.Getenv("PATH"); err != nil || got != want {
		t.Errorf("%q %v", got, err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	logged := out.String()
	if strings.Contains(logged, token) || strings.Contains(logged, strings.Repeat("x", maxLine+1)) {
		t.Error("a secret or an endless line was logged")
	}
	if n := strings.Count(logged, "an MCP server says"); n != maxLines {
		t.Errorf("%d lines were logged", n)
	}
	if !strings.Contains(logged, "more than is logged") || !strings.Contains(logged, "mcp_server=srv") {
		t.Error("the rest was not counted")
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestAProgramThatReadsNothingDoesNotHoldACall(t *testing.T) {
	s, _ := stdio(t, "deaf")
	c := connect(t, s)
	big := `{"s":"` + strings.Repeat("x", 512<<10) + `"}` // more than a pipe holds
	began := time.Now()
	_, err := tool(t, c, "srv_echo").Call(t.Context(), call(big))
	if !unclear(err) || time.Since(began) > 6*writeLimit {
		t.Errorf("%v after %s", err, time.Since(began))
	}
}
