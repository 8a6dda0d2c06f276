package mcptool

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"time"
)

const (
	maxDial = 5 * time.Second // for a connection and, again, for its TLS handshake
	maxBody = 16 << 20        // bytes of an answer that is not a stream of events
)

// flight is what is known of the way of one request.
type flight struct {
	left   atomic.Bool  // a connection was handed to it: from here on it may have arrived
	status atomic.Int64 // of the answer, 0 for none
}

type flightKey struct{}

func withFlight(ctx context.Context) (context.Context, *flight) {
	f := &flight{}
	return context.WithValue(ctx, flightKey{}, f), f
}

// web adds a spec's headers to requests, watches them, and bounds what comes back.
type web struct {
	headers map[string]string
	next    *http.Transport
}

func newWeb(s *Spec) *web {
	return &web{headers: s.Headers, next: &http.Transport{
		Proxy:                  nil, // as for other tools: what the operator wrote is where requests go
		DialContext:            (&net.Dialer{Timeout: maxDial}).DialContext,
		TLSHandshakeTimeout:    maxDial,
		MaxResponseHeaderBytes: 256 << 10,
		// A kept connection may turn out to be closed only when a call was written to it, which would leave the call in
		// doubt. So each request has its own.
		DisableKeepAlives: true,
	}}
}

// client follows no redirect: it would send the call, and the headers, to a place that nobody wrote down.
func (w *web) client() *http.Client {
	return &http.Client{Transport: w, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// RoundTrip sends one request. net/http repeats a POST by itself only if nothing of it was written.
func (w *web) RoundTrip(req *http.Request) (*http.Response, error) {
	f, _ := req.Context().Value(flightKey{}).(*flight)
	if req.Method != http.MethodPost {
		f = nil
	}
	ctx := req.Context()
	if f != nil {
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { f.left.Store(true) }})
	}
	req = req.Clone(ctx)
	req.Header.Set("User-Agent", "agentkernel")
	for name, v := range w.headers {
		req.Header.Set(name, v)
	}
	res, err := w.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if f != nil {
		f.status.Store(int64(res.StatusCode))
	}
	if !strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		res.Body = &bounded{ReadCloser: res.Body, left: maxBody}
	}
	return res, nil
}

// bounded is a body that ends with an error when it is too long.
type bounded struct {
	io.ReadCloser
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, http.ErrContentLength
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	return n, err
}
