package httptool

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/session"
)

const testKey = "ak_key1"

// target is a server that remembers what it was asked.
type target struct {
	*httptest.Server
	mu   sync.Mutex
	seen []seen
}

type seen struct {
	method, uri, body string
	header            http.Header
}

// serve answers with f; nil answers 200 "ok".
func serve(t *testing.T, f http.HandlerFunc) *target {
	t.Helper()
	s := &target{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := readUpTo(r.Body, 1<<20)
		s.mu.Lock()
		s.seen = append(s.seen, seen{method: r.Method, uri: r.RequestURI, body: body, header: r.Header.Clone()})
		s.mu.Unlock()
		if f == nil {
			_, _ = w.Write([]byte("ok"))
			return
		}
		f(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *target) requests() []seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]seen(nil), s.seen...)
}

func hostOf(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		panic(err)
	}
	return u.Host
}

// client allows what is given.
func client(t *testing.T, allow ...string) *Client {
	t.Helper()
	c, err := NewClient(allow)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// made is the spec as a tool whose client may reach the hosts of its URLs.
func made(t *testing.T, spec Spec, allow ...string) *agentkernel.Tool {
	t.Helper()
	if spec.Name == "" {
		spec.Name = "thing"
	}
	for _, u := range []string{spec.Request.URL, reconcileURL(spec)} {
		if u != "" {
			allow = append(allow, hostOf(placeholder.ReplaceAllString(u, "x")))
		}
	}
	tool, err := client(t, allow...).Tool(spec)
	if err != nil {
		t.Fatal(err)
	}
	return tool
}

func reconcileURL(spec Spec) string {
	if spec.Reconcile == nil {
		return ""
	}
	return spec.Reconcile.URL
}

func call(args string) agentkernel.ToolCall {
	return agentkernel.ToolCall{
		Name: "thing", Args: json.RawMessage(args), Key: testKey, Epoch: 7, Session: "s1", Turn: "s1~1.1.0.abcdef01",
	}
}

// unclear reports that an error says that the call may have had its effect.
func unclear(err error) bool {
	if err == nil {
		return false
	}
	marked := agentkernel.Unclear(errors.New(""))
	for e := err; e != nil; e = errors.Unwrap(e) {
		if sameType(e, marked) {
			return true
		}
	}
	return false
}

// wire is a server below HTTP: for every request that it read whole it runs answer, which says whether the connection
// goes on.
type wire struct {
	net.Listener
	mu       sync.Mutex
	requests int
	conns    int
	done     sync.WaitGroup
}

func listen(t *testing.T, answer func(request int, c net.Conn) bool) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{Listener: l}
	w.done.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			w.done.Go(func() { w.serve(c, answer) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		w.done.Wait()
	})
	return w
}

func (w *wire) serve(c net.Conn, answer func(int, net.Conn) bool) {
	defer func() { _ = c.Close() }()
	w.mu.Lock()
	w.conns++
	w.mu.Unlock()
	in := bufio.NewReader(c)
	for {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		if _, err := readUpTo(req.Body, 1<<20); err != nil {
			return
		}
		w.mu.Lock()
		w.requests++
		n := w.requests
		w.mu.Unlock()
		if !answer(n, c) {
			return
		}
	}
}

func (w *wire) counts() (requests, conns int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.requests, w.conns
}

func (w *wire) url() string { return "http://" + w.Addr().String() }

func background() context.Context { return context.Background() }

func spec(url string, effect session.Effect) Spec {
	return Spec{Effect: effect, Request: Request{Method: "POST", URL: url}}
}
