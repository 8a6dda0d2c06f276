package httptool

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	maxRedirects = 5
	maxDial      = 10 * time.Second // for a connection and, again, for its TLS handshake
	maxHeader    = 256 << 10        // bytes of a response's header
)

// Client sends the requests of tools. It is safe for concurrent use; all tools of a process may share one.
type Client struct {
	allow *allowlist
	kept  *http.Transport // for requests that may be repeated
	once  *http.Transport // a new connection for each request, so that net/http never repeats one
}

// NewClient makes a client whose requests stay within allow: hosts ("api.example.com", any port), hosts with a port,
// domains ("*.example.com", without the domain itself), addresses and networks ("10.0.0.0/8"). The hosts of the tools'
// own URLs must be in it. An entry that is none of these is an error of kind fault.Config.
func NewClient(allow []string) (*Client, error) {
	list, err := newAllowlist(allow)
	if err != nil {
		return nil, err
	}
	c := &Client{allow: list}
	c.kept, c.once = c.transport(), c.transport()
	c.once.DisableKeepAlives = true
	return c, nil
}

// Close closes idle connections. Requests that are under way go on.
func (c *Client) Close() { c.kept.CloseIdleConnections() }

func (c *Client) transport() *http.Transport {
	return &http.Transport{
		Proxy:                  nil, // the list must judge the target, not a proxy
		DialContext:            c.dial,
		TLSHandshakeTimeout:    maxDial,
		MaxResponseHeaderBytes: maxHeader,
		MaxIdleConnsPerHost:    64,
		IdleConnTimeout:        90 * time.Second,
	}
}

// dialKey is the context key of the time that a connection may take; net/http hides the deadline itself from dial.
type dialKey struct{}

// dialLimit is half of the time that is left, so that a host that cannot be reached at all is told apart from one that
// was sent the request and does not answer.
func dialLimit(ctx context.Context) time.Duration {
	limit := maxDial
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline)/2)
	}
	return max(limit, time.Millisecond)
}

// dial connects to what the list allows.
func (c *Client) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	d := net.Dialer{Timeout: maxDial}
	if limit, ok := ctx.Value(dialKey{}).(time.Duration); ok {
		d.Timeout = limit
	}
	switch c.allow.host(host, port) {
	case denied:
		return nil, &egressError{to: address}
	case byRange:
		d.Control = func(_, resolved string, _ syscall.RawConn) error { return c.allow.checkAddress(resolved) }
	}
	return d.DialContext(ctx, network, address)
}

// sending is one request and what is known of its way.
type sending struct {
	req    *http.Request
	secret []string // names of the configured headers, which stay at the origin
	once   bool     // must be sent at most once
	limit  int64    // bytes of the response's body that are read

	left atomic.Bool // a connection was handed to it: from here on it may have arrived
}

// answer is a response that came whole, up to the limit.
type answer struct {
	status int
	header http.Header
	body   string
}

// send sends one request, and no other if it must be sent at most once.
func (c *Client) send(s *sending) (*answer, error) {
	if err := c.allow.checkURL(s.req.URL); err != nil {
		return nil, err
	}
	hc := http.Client{Transport: c.kept, CheckRedirect: func(next *http.Request, via []*http.Request) error {
		return c.redirect(s, next, via)
	}}
	req := s.req
	if s.once {
		hc.Transport = c.once
		req.GetBody = nil // nothing can rewind the body and send it again
	}
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { s.left.Store(true) }}
	ctx := context.WithValue(req.Context(), dialKey{}, dialLimit(req.Context()))
	res, err := hc.Do(req.WithContext(httptrace.WithClientTrace(ctx, trace)))
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }() // what is left of it does not matter
	body, err := readUpTo(res.Body, s.limit)
	if err != nil {
		return nil, &cutError{status: res.StatusCode, err: err}
	}
	return &answer{status: res.StatusCode, header: res.Header, body: body}, nil
}

// redirect decides about a redirect: http.ErrUseLastResponse makes it the answer.
func (c *Client) redirect(s *sending, next *http.Request, via []*http.Request) error {
	if s.once || s.req.Method != http.MethodGet {
		return http.ErrUseLastResponse
	}
	if len(via) > maxRedirects {
		return errors.New("more than 5 redirects")
	}
	next.Header.Del("Referer") // the URL before may hold a secret
	if next.URL.Scheme != s.req.URL.Scheme || next.URL.Host != s.req.URL.Host {
		for _, name := range s.secret {
			next.Header.Del(name)
		}
	}
	return c.allow.checkURL(next.URL)
}
