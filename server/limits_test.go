package server

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/fault"
)

// serve serves the site as a process does, with its time-outs, until the test ends.
func (x *site) serve() (address string) {
	x.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		x.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- x.s.Serve(ctx, ln) }()
	x.t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		stop()
		if err := until(x.t, ended, "the server to end"); err != nil {
			x.t.Error(err)
		}
	})
	x.url = "http://" + ln.Addr().String()
	return ln.Addr().String()
}

const short = 300 * time.Millisecond // of time-outs that these tests wait for

func impatient(_ *agentkernel.Config, c *Config) {
	c.HeaderTimeout, c.BodyTimeout, c.IdleTimeout, c.WriteTimeout, c.MaxBody = short, short, short, short, 100<<10
}

// drip is a client that sends a text, and then nothing, or a byte from time to time.
type drip struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
	over chan struct{}
}

func dial(t *testing.T, address, text string, dripping string) *drip {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	d := &drip{t: t, conn: conn, r: bufio.NewReader(conn), over: make(chan struct{})}
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	dripped := make(chan struct{})
	go func() {
		defer close(dripped)
		tick := time.NewTicker(short / 10)
		defer tick.Stop()
		for dripping != "" {
			select {
			case <-tick.C:
			case <-d.over:
				return
			}
			if _, err := io.WriteString(conn, dripping); err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { close(d.over); conn.Close(); <-dripped })
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	return d
}

// ended fails the test unless the server ends the connection.
func (d *drip) ended(what string) {
	d.t.Helper()
	if _, err := io.Copy(io.Discard, d.r); errors.Is(err, os.ErrDeadlineExceeded) {
		d.t.Errorf("%s: the connection is still open", what)
	}
}

func TestSlowClientsAreDisconnectedAndOthersServedMeanwhile(t *testing.T) {
	x, keys := guarded(t, impatient)
	address := x.serve()
	auth := "X-API-Key: " + keys["user"] + "\r\n"
	head := func(method, path, more string) string {
		return method + " " + path + " HTTP/1.1\r\nHost: x\r\n" + more + "\r\n"
	}
	const typed = "Content-Type: application/json\r\n"
	for name, c := range map[string]struct {
		text, dripping string
		status         int // 0: none
	}{
		"nothing at all":                {"", "", 0},
		"half a line":                   {"GET /he", "", 0},
		"headers in drips":              {"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: ", "x", 0},
		"headers without an end":        {"GET /health HTTP/1.1\r\nHost: x\r\n", "A: b\r\n", 0},
		"a body that does not come":     {head("POST", "/api/v1/chat", auth+typed+"Content-Length: 1000\r\n"), "", 408},
		"a body in drips":               {head("POST", "/api/v1/chat", auth+typed+"Content-Length: 1000\r\n") + "{", " ", 408},
		"chunks in drips":               {head("POST", "/api/v1/chat", auth+typed+"Transfer-Encoding: chunked\r\n"), "1\r\n \r\n", 408},
		"a refused body in drips":       {head("POST", "/api/v1/chat", typed+"Content-Length: 1000\r\n"), " ", 401},
		"a body of another type":        {head("POST", "/api/v1/chat", auth+"Content-Type: text/plain\r\nContent-Length: 1000\r\n"), " ", 415},
		"a body for nobody":             {head("POST", "/nowhere", "Content-Length: 1000\r\n"), " ", 404},
		"a body that nobody reads":      {head("GET", "/api/v1/agents", auth+"Content-Length: 1000\r\n"), " ", 200},
		"a huge body that is announced": {head("POST", "/api/v1/chat", auth+typed+"Content-Length: 1000000000\r\n"), " ", 413},
		"a second request in drips":     {head("GET", "/livez", "") + "GET /liv", "", 200},
		"no second request":             {head("GET", "/livez", ""), "", 200},
	} {
		t.Run(name, func(t *testing.T) {
			d := dial(t, address, c.text, c.dripping)
			as[Probe](t, x.do("GET", "/livez", ""), 200)
			as[AgentList](t, x.do("GET", "/api/v1/agents", "", "X-API-Key", keys["user"]), 200)
			if c.status == 0 {
				d.ended(name)
				return
			}
			res, err := http.ReadResponse(d.r, nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			if res.StatusCode != c.status || err != nil {
				t.Errorf("%d %v: %s", res.StatusCode, err, body)
			}
			var p Problem
			if err := json.Unmarshal(body, &p); c.status >= 400 && (err != nil || p.Status != c.status || p.Text == "") {
				t.Errorf("%v: %s", err, body)
			}
			d.ended(name)
		})
	}
}

func TestAClientThatTakesNothingIsDisconnected(t *testing.T) {
	broken := make(chan error, 1)
	x := newSite(t, impatient, func(_ *agentkernel.Config, c *Config) {
		c.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					broken <- err
					return
				}
			}
		})
	})
	dial(t, x.serve(), "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "")
	as[Probe](t, x.do("GET", "/livez", ""), 200)
	if err := until(t, broken, "the answer to fail"); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
}

func TestTheTimeoutsAreNotForThoseWhoWait(t *testing.T) {
	x := newSite(t, impatient)
	x.serve()
	waiter := make(chan reply, 1)
	go func() { waiter <- x.chat(`{"prompt":"hello","agent":"held"}`) }()
	until(t, x.holding, "the turn to run")
	stream := x.open("POST", "/api/v1/chat", `{"prompt":"hello","agent":"held"}`)
	until(t, x.holding, "the turn to run")
	over := time.NewTimer(3 * short)
	<-over.C // longer than each of the time-outs
	x.hold <- struct{}{}
	x.hold <- struct{}{}
	if r := as[ChatReply](t, until(t, waiter, "the answer"), 200); r.Result != "released" {
		t.Errorf("%+v", r)
	}
	events := stream.rest()
	if last := events[len(events)-1]; last.event != "done" {
		t.Errorf("%+v", events)
	}
	as[Probe](t, x.do("GET", "/livez", ""), 200)
}

func TestStreamsAreCounted(t *testing.T) {
	x := newSite(t, func(_ *agentkernel.Config, c *Config) { c.MaxStreams = 2 })
	first := x.open("POST", "/api/v1/chat", `{"prompt":"hello","agent":"held","session_id":"one"}`)
	until(t, x.holding, "the turn to run")
	turn := first.res.Header.Get("AK-Turn-Id")
	second := x.open("GET", "/api/v1/turns/"+turn+"/events", "")
	for _, r := range []reply{
		x.chat(`{"prompt":"hello","agent":"held","session_id":"two"}`, "Accept", "text/event-stream"),
		x.do("GET", "/api/v1/turns/"+turn+"/events", ""),
	} {
		p := problem(t, r, 429, fault.Limited)
		if r.Header.Get("Retry-After") != "1" || p.Try == "" {
			t.Errorf("%v %s", r.Header, r.body)
		}
	}
	problem(t, x.do("GET", "/api/v1/sessions/two", ""), 404, fault.NotFound) // nothing was started
	as[Pending](t, x.chat(`{"prompt":"hello","agent":"held","session_id":"three"}`, "Prefer", "respond-async"), 202)
	until(t, x.holding, "the turn to run")
	x.hold <- struct{}{}
	x.hold <- struct{}{}
	first.rest()
	second.rest()
	for range 4 { // one after the other they are as many as one likes
		x.open("POST", "/api/v1/chat", `{"prompt":"hello"}`).rest()
	}
	// A reader that leaves makes room.
	third := x.open("POST", "/api/v1/chat", `{"prompt":"hello","agent":"held"}`)
	until(t, x.holding, "the turn to run")
	third.stop()
	x.hold <- struct{}{}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); x.s.streams.Load() != 0; <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("%d streams are still counted", x.s.streams.Load())
		}
	}
}

func TestHugeHeadersAreRefused(t *testing.T) {
	x := newSite(t)
	address := x.serve()
	problem(t, x.do("GET", "/api/v1/agents", "", "X-Large", strings.Repeat("x", 33<<10)), 431, fault.TooLarge)
	problem(t, x.do("GET", "/api/v1/agents?after="+strings.Repeat("x", 33<<10), ""), 431, fault.TooLarge)
	d := dial(t, address, fmt.Sprintf("GET /livez HTTP/1.1\r\nHost: x\r\nX-Large: %s\r\n\r\n", strings.Repeat("x", 80<<10)), "")
	if res, err := http.ReadResponse(d.r, nil); err != nil || res.StatusCode != 431 {
		t.Errorf("%v %v", res, err)
	}
	d.ended("huge headers")
}

func TestSessionIdsAreChecked(t *testing.T) {
	x, keys := guarded(t)
	for _, id := range []string{"", ".", "..", "a/b", "a b", "ä", "a~b", "acme/talk", strings.Repeat("y", 129), "a\x00b"} {
		body, err := json.Marshal(map[string]string{"prompt": "hello", "session_id": id})
		if err != nil {
			t.Fatal(err)
		}
		r := x.chat(string(body), "X-API-Key", keys["user"])
		if id == "" { // as if it were not there
			as[ChatReply](t, r, 200)
			continue
		}
		problem(t, r, 400, fault.BadRequest)
	}
	if n := len(as[SessionList](t, x.do("GET", "/api/v1/sessions", "", "X-API-Key", keys["user"]), 200).Sessions); n != 1 {
		t.Errorf("%d sessions", n)
	}
}
