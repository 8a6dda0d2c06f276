package mcptool

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/fault"
)

const (
	steady   = 30 * time.Second // a connection that lived for so long was a good one
	firstGap = 500 * time.Millisecond
	maxGap   = 30 * time.Second
)

// Client is a server's tools, and the connection to it. It is safe for concurrent use.
type Client struct {
	spec  Spec
	scrub scrubber // for errors and the log
	hush  scrubber // for results
	now   func() time.Time
	tools []*agentkernel.Tool
	offer []Offer

	dialing chan struct{} // holds one token: whoever has it may connect

	mu       sync.Mutex
	live     *link
	links    sync.WaitGroup // of connections that are not cleared away yet
	failures int            // in a row
	notyet   time.Time      // no new connection before
	over     bool
}

// Connect starts a server, or connects to it, and reads its tools. The error is of kind fault.Config when the spec, the
// server's tools or the server's refusal show a mistake, and fault.Unavailable when the server is not there or does not
// answer. ctx bounds the start and nothing else.
func Connect(ctx context.Context, spec Spec) (*Client, error) {
	if problems := spec.check(); len(problems) > 0 {
		return nil, fault.New(fault.Config, "mcptool.Connect", "MCP server %.40s: %s", spec.Name, strings.Join(problems, "; "))
	}
	c := &Client{spec: spec, scrub: newScrubber(&spec), hush: newHush(&spec), now: time.Now, dialing: make(chan struct{}, 1)}
	c.dialing <- struct{}{}
	ctx, cancel := context.WithTimeout(ctx, spec.StartTimeout)
	defer cancel()
	l, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	c.keep(l)
	if err := c.makeTools(l); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// Tools are the server's tools, in its order.
func (c *Client) Tools() []*agentkernel.Tool { return c.tools }

// Close ends the connection, and the program with whatever it started. Calls that are under way are interrupted.
func (c *Client) Close() error {
	c.mu.Lock()
	c.over = true
	l := c.live
	c.live = nil
	c.mu.Unlock()
	if l != nil {
		l.close()
	}
	c.links.Wait()
	return nil
}

// keep makes l the connection of the calls to come, and follows it until it is gone.
func (c *Client) keep(l *link) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return false
	}
	c.live = l
	c.links.Go(func() {
		_ = l.session.Wait()
		l.lost.Store(true)
		l.close()
		c.gone(l)
	})
	return true
}

// gone notes that a connection ended, and when the next may begin.
func (c *Client) gone(l *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer close(l.closed)
	if c.live == l {
		c.live = nil
	}
	if c.now().Sub(l.began) >= steady {
		c.failures = 0
	}
	c.failed()
}

// failed counts a failure. The first is free: most servers that die do so once.
func (c *Client) failed() {
	c.failures++
	if c.failures < 2 {
		return
	}
	gap := maxGap
	if n := c.failures - 2; n < 6 {
		gap = min(maxGap, firstGap<<n)
	}
	c.notyet = c.now().Add(gap/2 + rand.N(gap/2+1))
}

// connected is the connection, made anew if it was lost. An error says that there is none, so that nothing can have been
// sent.
func (c *Client) connected(ctx context.Context) (*link, error) {
	if l, err := c.current(); err != nil || l != nil && !l.lost.Load() {
		return l, err
	}
	if deadline, ok := ctx.Deadline(); ok { // leaves time to say that nothing was sent
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, min(c.spec.StartTimeout, time.Until(deadline)/2))
		defer cancel()
	}
	select {
	case <-c.dialing:
		defer func() { c.dialing <- struct{}{} }()
	case <-ctx.Done():
		return nil, c.starting()
	}
	l, err := c.current()
	if l != nil && l.lost.Load() { // what is left of it is being cleared away
		select {
		case <-l.closed:
			l, err = c.current()
		case <-ctx.Done():
			return nil, c.starting()
		}
	}
	if l != nil || err != nil {
		return l, err
	}
	return c.redial(ctx)
}

// redial makes a new connection; the caller holds the token.
func (c *Client) redial(ctx context.Context) (*link, error) {
	l, err := c.dial(ctx)
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.failed()
		return nil, err
	}
	if !c.keep(l) {
		l.close()
		return nil, errClosed
	}
	return l, nil
}

var errClosed = fault.New(fault.Unavailable, "", "the connection to the MCP server was closed")

func (c *Client) starting() error {
	return fault.New(fault.Unavailable, "", "MCP server %s is being started", c.spec.Name)
}

// current is the last connection, which may be lost; nil without an error if a new one may be made.
func (c *Client) current() (*link, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch wait := c.notyet.Sub(c.now()); {
	case c.over:
		return nil, errClosed
	case c.live != nil:
		return c.live, nil
	case wait > 0:
		return nil, fault.New(fault.Unavailable, "", "MCP server %s cannot be reached; it is tried again in %s", c.spec.Name, wait.Round(time.Millisecond)).WithAfter(wait)
	}
	return nil, nil
}

// drop ends a connection that is of no use any more.
func (c *Client) drop(l *link) {
	l.lost.Store(true)
	l.close()
}
