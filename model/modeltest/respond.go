package modeltest

import (
	"context"
	"net/http"
	"time"
)

// responder sends one response, as its step says.
type responder struct {
	ctx    context.Context
	server *Server
	wire   wire
	w      http.ResponseWriter
	step   *Step
}

// malformed stands for an answer that is not streamed.
const malformed = `{"id":"broken","conte`

// refuse does what the step says about the time before the answer and reports that no answer is to follow.
func (o *responder) refuse() bool {
	if o.step.Delay > 0 && !o.server.wait(o.ctx, time.Duration(o.step.Delay)) {
		abort()
	}
	if o.step.Reset {
		reset(o.w)
		return true
	}
	for name, value := range o.step.Headers {
		o.w.Header().Set(name, value)
	}
	switch {
	case o.step.Status == 0:
		return false
	case o.step.Body != "":
		if o.w.Header().Get("Content-Type") == "" {
			o.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		}
		o.w.WriteHeader(o.step.Status)
		_, _ = o.w.Write([]byte(o.step.Body))
	case o.step.Error != nil:
		writeError(o.wire, o.w, o.step.Status, o.step.Error)
	default:
		writeError(o.wire, o.w, o.step.Status, &WireError{Message: http.StatusText(o.step.Status)})
	}
	return true
}

// stream sends the frames.
func (o *responder) stream(frames []frame) {
	h := o.w.Header()
	h.Set("Content-Type", o.wire.streamType())
	h.Set("Cache-Control", "no-cache")
	o.w.WriteHeader(http.StatusOK)
	o.flush()
	for i, f := range frames {
		if o.stop(i) {
			return
		}
		if f.closer && o.step.NoDone {
			continue
		}
		if o.step.Pace > 0 && !o.server.wait(o.ctx, time.Duration(o.step.Pace)) {
			abort()
		}
		if at(o.step.MalformedAt, i) {
			o.send(o.wire.malformed())
		}
		o.send(f.data)
	}
	o.stop(len(frames))
}

// stop ends or holds the stream before chunk i if the step says so, and reports that nothing more is to be sent.
func (o *responder) stop(i int) bool {
	switch s := o.step; {
	case at(s.ErrorAt, i):
		o.send(o.wire.errorFrame(s.Error))
		return true
	case at(s.CutAfter, i):
		abort()
	case at(s.EndAfter, i):
		return true
	case at(s.StallAfter, i):
		o.server.wait(o.ctx, -1)
		abort()
	}
	return false
}

func at(point *int, i int) bool { return point != nil && *point == i }

// whole sends an answer that is not streamed.
func (o *responder) whole(body []byte) {
	s := o.step
	if s.Pace > 0 && !o.server.wait(o.ctx, time.Duration(s.Pace)) {
		abort()
	}
	o.w.Header().Set("Content-Type", "application/json")
	switch {
	case s.ErrorAt != nil:
		body = o.wire.refusal(o.w.Header(), http.StatusOK, s.Error)
	case s.MalformedAt != nil:
		body = []byte(malformed)
	case s.CutAfter != nil, s.StallAfter != nil, s.EndAfter != nil:
		body = body[:len(body)/2]
	}
	o.w.WriteHeader(http.StatusOK)
	_, _ = o.w.Write(body)
	if s.CutAfter != nil || s.StallAfter != nil {
		o.flush()
		if s.StallAfter != nil {
			o.server.wait(o.ctx, -1)
		}
		abort()
	}
}

func (o *responder) send(data []byte) {
	if _, err := o.w.Write(data); err != nil {
		abort() // the client has gone away
	}
	o.flush()
}

func (o *responder) flush() {
	// A writer that cannot flush delivers everything at the end; the client then sees no pace, but the same bytes.
	_ = http.NewResponseController(o.w).Flush()
}

// abort ends the response so that the client sees that it is incomplete.
func abort() { panic(http.ErrAbortHandler) }
