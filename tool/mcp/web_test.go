package mcptool

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/agentkernel/agentkernel/fault"
)

// misbehaving is a real HTTP server whose answer to a call is given by the test; nil answers as it should.
func misbehaving(t *testing.T) (url string, answer *atomic.Pointer[func(w http.ResponseWriter, id string)], calls *atomic.Int32) {
	t.Helper()
	answer, calls = &atomic.Pointer[func(http.ResponseWriter, string)]{}, &atomic.Int32{}
	s := server()
	h := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, nil)
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if bytes.Contains(body, []byte(`"tools/call"`)) {
			calls.Add(1)
			if f := answer.Load(); f != nil {
				_, rest, _ := strings.Cut(string(body), `"id":`)
				id, _, _ := strings.Cut(rest, ",")
				(*f)(w, strings.TrimRight(id, "}"))
				return
			}
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		for session := range s.Sessions() {
			_ = session.Close()
		}
		ts.Close()
	})
	return ts.URL, answer, calls
}

// TestEveryBadAnswerHasItsMeaning: each is followed by a good call, whatever became of the connection.
func TestEveryBadAnswerHasItsMeaning(t *testing.T) {
	status := func(code int) func(http.ResponseWriter, string) {
		return func(w http.ResponseWriter, _ string) { http.Error(w, "see "+token, code) }
	}
	body := func(kind, format string) func(http.ResponseWriter, string) {
		return func(w http.ResponseWriter, id string) {
			w.Header().Set("Content-Type", kind)
			if strings.Contains(format, "%s") {
				format := fmt.Sprintf(format, id)
				_, _ = io.WriteString(w, format)
				return
			}
			_, _ = io.WriteString(w, format)
		}
	}
	const jsonType, events = "application/json", "text/event-stream"
	for name, c := range map[string]struct {
		answer func(http.ResponseWriter, string)
		doubt  bool
		kind   fault.Kind
	}{
		"400":      {status(400), false, fault.Invalid},
		"401":      {status(401), false, fault.Auth},
		"403":      {status(403), false, fault.Auth},
		"409":      {status(409), false, fault.Invalid},
		"429":      {status(429), false, fault.Throttled},
		"500":      {status(500), true, fault.Transient},
		"501":      {status(501), true, fault.Transient},
		"503":      {status(503), true, fault.Transient},
		"redirect": {func(w http.ResponseWriter, _ string) { w.Header().Set("Location", "/x"); w.WriteHeader(307) }, true, fault.Transient},
		"a page":   {body("text/html", "<p>hello"), true, fault.Transient},
		"garbage":  {body(jsonType, "{{{"), true, fault.Transient},
		"nothing":  {body(jsonType, ""), true, fault.Transient},
		"too much": {body(jsonType, `{"x":"`+strings.Repeat("x", maxBody)+`"}`), true, fault.Transient},
		"cut": {func(w http.ResponseWriter, _ string) {
			w.Header().Set("Content-Type", jsonType)
			w.Header().Set("Content-Length", "99")
			_, _ = io.WriteString(w, `{"json`)
		}, true, fault.Transient},
		"dropped":         {func(http.ResponseWriter, string) { panic(http.ErrAbortHandler) }, true, fault.Transient},
		"no result":       {body(jsonType, `{"jsonrpc":"2.0","id":%s,"result":[1]}`), true, fault.Transient},
		"internal error":  {body(jsonType, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32603,"message":"oh"}}`), true, fault.Transient},
		"own error":       {body(jsonType, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32005,"message":"oh"}}`), true, fault.Transient},
		"invalid params":  {body(jsonType, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32602,"message":"oh `+token+`"}}`), false, fault.BadRequest},
		"no such method":  {body(events, "data: {\"jsonrpc\":\"2.0\",\"id\":%s,\"error\":{\"code\":-32601,\"message\":\"oh\"}}\n\n"), false, fault.BadRequest},
		"an empty stream": {body(events, ": nothing\n\n"), true, fault.Transient},
		"stream garbage":  {body(events, "data: {{{\n\n"), true, fault.Transient},
	} {
		t.Run(name, func(t *testing.T) {
			url, answer, calls := misbehaving(t)
			client := connect(t, Spec{Name: "srv", URL: url, Headers: map[string]string{"X-Key": token}})
			echo := tool(t, client, "srv_echo")
			answer.Store(&c.answer)
			_, err := echo.Call(within(t, 20*time.Second), call(`{}`))
			if err == nil || unclear(err) != c.doubt || fault.KindOf(err) != c.kind {
				t.Errorf("in doubt %t, kind %s: %v", unclear(err), fault.KindOf(err), err)
			}
			if err != nil && strings.Contains(err.Error(), token) {
				t.Errorf("it tells a secret: %v", err)
			}
			if n := calls.Load(); n != 1 {
				t.Errorf("%d calls arrived", n)
			}
			answer.Store(nil)
			if got, err := echo.Call(within(t, 20*time.Second), call(`{}`)); err != nil {
				t.Errorf("the next call: %q %v", got, err)
			}
		})
	}
}

func TestAStreamThatIsSilentIsInDoubt(t *testing.T) {
	url, answer, _ := misbehaving(t)
	client := connect(t, Spec{Name: "srv", URL: url})
	ctx, cancel := context.WithCancel(t.Context())
	released := make(chan struct{})
	hang := func(w http.ResponseWriter, _ string) {
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		cancel()
		<-released
	}
	answer.Store(&hang)
	_, err := tool(t, client, "srv_echo").Call(ctx, call(`{}`))
	close(released)
	if !unclear(err) || fault.KindOf(err) != fault.Cancelled {
		t.Errorf("%v", err)
	}
}
