package modeltest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model/scripted"
)

const streamText = "one two three four five six"

// points are where things are among the chunks of streamText in a format.
type points struct {
	middle int // after some of the text
	finish int // the finish reason
	end    int // the terminal event, which may be the same
	closes bool
}

func pointsOf(w wire) points {
	in := &asked{req: question("x"), stream: true, usage: true}
	var at points
	for i, f := range w.frames(in, &reply{model: modelName, text: streamText, finish: "stop"}) {
		if f.finish {
			at.finish = i
		}
		if f.end {
			at.end = i
			at.closes = f.closer
		}
	}
	at.middle = at.finish / 2
	return at
}

// streamCases are responses that begin well.
func streamCases(w wire, f *profile) []*testCase {
	var cases []*testCase
	add := func(name string, step Step, kind fault.Kind, verify func(*probe, *outcome)) {
		cases = append(cases, &testCase{name: name, replies: say(streamText), step: step, kind: kind, verify: verify})
	}
	whole := func(p *probe, o *outcome) {
		p.expect(o.text() == streamText, "the answer is %q, want %q", o.text(), streamText)
	}
	at := pointsOf(w)
	for _, n := range slices.Compact([]int{0, 1, at.middle, at.finish, at.end}) {
		add(fmt.Sprintf("cut after %d chunks", n), Step{CutAfter: new(n)}, fault.Truncated, prefix)
		add(fmt.Sprintf("ended after %d chunks", n), Step{EndAfter: new(n)}, fault.Truncated, prefix)
	}
	add("closed without a finish reason", Step{NoFinish: true}, fault.Truncated, prefix)
	if at.closes {
		add("the closing event is missing", Step{NoDone: true}, fault.Truncated, prefix)
	} else {
		add("the closing event is missing", Step{NoDone: true}, "", whole)
	}
	add("ended after the terminal event", Step{EndAfter: new(at.end + 1)}, "", whole)
	add("cut after the terminal event", Step{CutAfter: new(at.end + 1)}, "", whole)
	for _, n := range slices.Compact([]int{0, at.middle, at.finish, at.end}) {
		if f.malformed == "" {
			add(fmt.Sprintf("a malformed chunk at %d is skipped", n), Step{MalformedAt: new(n)}, "", whole)
		} else {
			add(fmt.Sprintf("a malformed chunk at %d is a failure", n), Step{MalformedAt: new(n)}, f.malformed, prefix)
		}
	}
	add("a malformed chunk and then the end", Step{MalformedAt: new(2), EndAfter: new(4)}, fault.Truncated, prefix)
	add("an empty answer", Step{Empty: true}, fault.Truncated, nil)
	add("a bound that is used up before the first word", Step{Empty: true, Finish: "length"}, fault.Truncated, nil)
	add("an unfinished tool call", Step{UnfinishedCall: true}, fault.Truncated, nil)
	for word, kind := range f.finishes {
		add("an answer that ends with "+word, Step{Finish: word}, kind, nil)
	}
	cases = append(cases, &testCase{
		name: "an unfinished call among others", kind: fault.Truncated, req: withTools(question("go")),
		step: Step{UnfinishedCall: true}, replies: calling("",
			scripted.Call{Tool: "now"}, scripted.Call{Tool: "look", Args: map[string]any{"at": "somewhere"}}),
	})
	for _, e := range f.errors {
		for _, n := range slices.Compact([]int{0, at.middle, at.finish + 1}) {
			add(fmt.Sprintf("an error in the stream at %d: %s%s %s", n, e.err.Code, e.err.Type, e.err.Message),
				Step{Error: &e.err, ErrorAt: new(n)}, e.want, prefix)
		}
	}
	return append(cases, cancelCases(at)...)
}

// prefix checks that a failed stream emitted nothing that the whole answer does not begin with.
func prefix(p *probe, o *outcome) {
	got := strings.Join(o.pieces, "")
	p.expect(strings.HasPrefix(streamText, got), "the stream showed %q, want the beginning of %q", got, streamText)
}

// cancelCases are calls that would never end by themselves.
func cancelCases(at points) []*testCase {
	hour := scripted.Duration(time.Hour)
	var cases []*testCase
	for name, step := range map[string]Step{
		"before the headers":  {Delay: hour},
		"before any chunk":    {StallAfter: new(0)},
		"in the text":         {StallAfter: new(3)},
		"before the finish":   {StallAfter: new(at.finish)},
		"in a very slow pace": {Pace: hour},
	} {
		for _, deadline := range []bool{false, true} {
			how := "cancel "
			if deadline {
				how = "deadline "
			}
			cases = append(cases, &testCase{name: how + name, replies: say(streamText), step: step, check: func(p *probe) {
				cancelled(p, deadline)
			}})
		}
	}
	return append(cases, &testCase{name: "cancelled before the call", check: func(p *probe) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if o := p.generate(ctx, question("x")); o != nil {
			p.expectKind(o, fault.Cancelled)
			p.expect(p.server.Count() == 0, "the server got %d requests", p.server.Count())
		}
	}})
}

var errStop = errors.New("the test stopped it")

// cancelled ends a call's context while the server waits, and wants the call to end.
func cancelled(p *probe, deadline bool) {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	if deadline {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, 100*time.Millisecond)
		defer stop()
	}
	call := p.start(ctx, question("x"))
	select {
	case <-p.stalled:
	case <-call.done: // a deadline may be earlier
	case <-time.After(patience):
		p.expect(false, "the request did not reach the server")
	}
	if !deadline {
		cancel(errStop)
	}
	start := time.Now()
	select {
	case <-call.done:
	case <-time.After(patience):
		p.expect(false, "Generate did not return within %s after its context had ended", patience)
		return
	}
	p.expect(time.Since(start) < patience/2, "Generate took %s to return after its context had ended", time.Since(start))
	o := p.finish(call)
	p.expectKind(o, fault.Cancelled)
	prefix(p, o)
	p.expect(p.server.Count() <= 1, "the server got %d requests for one call of Generate", p.server.Count())
	p.serverLetGo()
}

// serverLetGo checks that the server's side of a cancelled call ends, that is, that the connection was given up.
func (p *probe) serverLetGo() {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for p.server.Active() > 0 {
		select {
		case <-deadline.C:
			p.expect(false, "the connection of a cancelled call is still open after %s", patience)
			return
		case <-again.C:
		}
	}
	p.expect(true, "")
}
