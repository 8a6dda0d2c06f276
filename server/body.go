package server

import (
	"errors"
	"io"
	"net"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/agentkernel/agentkernel/fault"
)

// body reads a request's body as far as it may. The limit is moved while reading: what a body may hold beside its files
// is bounded by MaxBody, each file by MaxFileSize, and none is read further than that.
type body struct {
	r       io.Reader
	rc      *http.ResponseController
	timeout time.Duration
	piece   int64 // so many bytes may take one timeout
	renew   int64 // the byte at which the next one begins
	read    int64
	limit   int64
	text    *utf8Check // nil for bodies that are not text
	failed  error      // what there is instead of more
}

var (
	errOver    = errors.New("the body goes on after its limit")
	errNotUTF8 = errors.New("the body is not valid UTF-8")
)

// body begins to read a request's body.
func (s *Server) body(x *wire) *body {
	return &body{r: x.r.Body, rc: http.NewResponseController(x.w), timeout: s.cfg.BodyTimeout, piece: s.cfg.MaxBody, limit: s.cfg.MaxBody}
}

// done is called when the whole body was read. Otherwise the deadline stays, for net/http reads on to keep the connection.
func (b *body) done() { _ = b.rc.SetReadDeadline(time.Time{}) }

// Read reads up to the limit; there it is errOver unless the body ends.
func (b *body) Read(p []byte) (n int, err error) {
	if b.failed == nil {
		n, b.failed = b.next(p)
	}
	return n, b.failed
}

func (b *body) next(p []byte) (n int, err error) {
	if b.read >= b.renew {
		_ = b.rc.SetReadDeadline(time.Now().Add(b.timeout)) // a connection without deadlines is a test's
		b.renew = b.read + b.piece
	}
	if b.read >= b.limit {
		var more [1]byte
		if n, err = b.r.Read(more[:]); n > 0 {
			err = errOver
		}
		return 0, err
	}
	n, err = b.r.Read(p[:min(int64(len(p)), b.limit-b.read)])
	b.read += int64(n)
	if b.text != nil && !b.text.add(p[:n], err == io.EOF) {
		return 0, errNotUTF8
	}
	return n, err
}

// refusal is why the body could not be read, as a problem; nil if err is about something else.
func (b *body) refusal(err error, allowed int64) error {
	var timeout net.Error
	switch {
	case errors.Is(err, errOver):
		return fault.New(fault.TooLarge, "", "the request's body is too large: of bytes that are not a file's, %d are allowed", allowed)
	case errors.Is(err, errNotUTF8):
		return fault.New(fault.BadRequest, "", "the body is not valid UTF-8")
	case errors.As(err, &timeout) && timeout.Timeout():
		return newProblem(fault.TimeoutTotal, http.StatusRequestTimeout, "the request's body did not come in time")
	}
	return nil
}

// utf8Check checks a text that comes in pieces.
type utf8Check struct{ open []byte } // a letter of which the end has not come

// add reports whether the text is well formed so far, and at its end.
func (c *utf8Check) add(p []byte, last bool) bool {
	for len(c.open) > 0 && len(p) > 0 {
		c.open, p = append(c.open, p[0]), p[1:]
		if utf8.FullRune(c.open) {
			if !utf8.Valid(c.open) {
				return false
			}
			c.open = c.open[:0]
		}
	}
	for i := len(p) - 1; i >= 0 && i >= len(p)-utf8.UTFMax; i-- {
		if utf8.RuneStart(p[i]) {
			if !utf8.FullRune(p[i:]) {
				c.open, p = append(c.open, p[i:]...), p[:i]
			}
			break
		}
	}
	return utf8.Valid(p) && !(last && len(c.open) > 0)
}
