package mcptool

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/agentkernel/agentkernel/fault"
)

const maxTools = 512 // that one server may list

// link is one life of a connection: from a start of the server, or a first request to it, to its end.
type link struct {
	session *mcp.ClientSession
	proc    *process // nil for HTTP
	web     *web     // nil for a program
	tools   map[string]*mcp.Tool
	order   []string // the tools' names as the server lists them
	began   time.Time
	ctx     context.Context // ends when the connection is lost or closed; calls end with it
	cancel  context.CancelFunc
	lost    atomic.Bool
	closed  chan struct{} // closed when everything of it is gone, and another may be made
}

// dial starts the server or connects to it, and has it tell its tools.
func (c *Client) dial(ctx context.Context) (*link, error) {
	ctx, flight := withFlight(ctx)
	l := &link{began: c.now(), closed: make(chan struct{})}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	var transport mcp.Transport
	if c.spec.URL != "" {
		l.web = newWeb(&c.spec)
		transport = &mcp.StreamableClientTransport{
			Endpoint: c.spec.URL, HTTPClient: l.web.client(),
			DisableStandaloneSSE: true, // nothing that a server says by itself is listened to
		}
	} else {
		p, err := start(&c.spec, c.scrub)
		if err != nil {
			l.cancel()
			return nil, c.cannotStart(err)
		}
		l.proc = p
		transport = &mcp.IOTransport{Reader: p.out, Writer: p}
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "agentkernel", Version: "1"}, &mcp.ClientOptions{
		Capabilities:   &mcp.ClientCapabilities{}, // no roots, no sampling, no questions to a user
		MultiRoundTrip: &mcp.MultiRoundTripOptions{Disabled: true},
	})
	var err error
	if l.session, err = client.Connect(ctx, transport, nil); err == nil {
		err = l.list(ctx)
	}
	if err != nil {
		l.lost.Store(true)
		l.close()
		return nil, c.cannotConnect(ctx, l, flight, err)
	}
	return l, nil
}

// list asks for the server's tools.
func (l *link) list(ctx context.Context) error {
	l.tools = map[string]*mcp.Tool{}
	for t, err := range l.session.Tools(ctx, nil) {
		switch {
		case err != nil:
			return err
		case len(l.order) == maxTools:
			return fmt.Errorf("it lists more than %d tools", maxTools)
		case t.Name == "":
			return errors.New("it lists a tool without a name")
		case l.tools[t.Name] != nil:
			return fmt.Errorf("it lists two tools named %.64q", t.Name)
		}
		l.tools[t.Name] = t
		l.order = append(l.order, t.Name)
	}
	return nil
}

// close ends the connection, its calls and the program. It returns when they are gone.
func (l *link) close() {
	l.cancel()
	if l.proc != nil {
		l.proc.stop()
	}
	if l.session != nil {
		_ = l.session.Close()
	}
	if l.web != nil {
		l.web.next.CloseIdleConnections()
	}
}

// written is how many bytes the program has taken so far, 0 for HTTP.
func (l *link) written() int64 {
	if l.proc == nil {
		return 0
	}
	return l.proc.written.Load()
}

// cannotStart is the error of a program that cannot be started. The system's text names the program and nothing else.
func (c *Client) cannotStart(err error) error {
	kind, try := fault.Unavailable, ""
	if wrongCommand(err) {
		kind, try = fault.Config, "check that the program is installed and on the PATH"
	}
	return fault.New(kind, "mcptool.Connect", "MCP server %s cannot be started: %s", c.spec.Name, c.scrub.clean(err.Error())).WithTry("%s", try)
}

// cannotConnect is the error of a server that was started, or called, and did not get as far as telling its tools.
func (c *Client) cannotConnect(ctx context.Context, l *link, f *flight, err error) error {
	text := "MCP server " + c.spec.Name + " (" + c.spec.where() + ") cannot be used: "
	kind, try := fault.Unavailable, ""
	status := f.status.Load()
	switch {
	case ctx.Err() != nil:
		text += "it did not tell its tools in time"
		try = "check that it speaks MCP, or give it more time to start"
	case status == 401 || status == 403:
		kind, try = fault.Config, "check its headers"
		text += fmt.Sprintf("it answered %d", status)
	case status >= 300 && status <= 499 && status != 429:
		kind, try = fault.Config, "check its url"
		text += fmt.Sprintf("it answered %d", status)
	default:
		text += c.scrub.plain(err)
	}
	if l.proc != nil {
		text += l.proc.fate()
		if said := l.proc.said.get(); said != "" {
			text += "; the last it wrote to its standard error: " + said
		}
	}
	return fault.New(kind, "mcptool.Connect", "%s", text).WithTry("%s", try)
}

// fate is how a program failed that was not killed here.
func (p *process) fate() string {
	if p.killed.Load() || p.ended == nil {
		return ""
	}
	return "; the program ended with " + p.ended.Error()
}

// plain is an error's text, bounded. Secrets go first, so that no half of one is left.
func (s scrubber) plain(err error) string {
	text := s.clean(strings.ReplaceAll(err.Error(), ": rejected by transport", ""))
	if len(text) > 600 {
		text = strings.ToValidUTF8(text[:600], "") + "…"
	}
	return text
}
