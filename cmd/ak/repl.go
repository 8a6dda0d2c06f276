package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/server"
)

// repl is a conversation by lines, with a person or a script.
type repl struct {
	app    *app
	client *client
	flags  *chatFlags
	tty    bool             // someone types and sees prompts
	lines  <-chan inputLine // closed at the end of the input
	breaks <-chan os.Signal // interrupts
	first  string           // the server's first agent
	failed error            // the last error of a line
	over   bool             // the input has ended, or !quit was said
}

// inputLine is one line of the input, or why there is none.
type inputLine struct {
	text string
	err  error
}

// errLeave ends the conversation on an interrupt.
var errLeave = &exitError{fault.ExitCancelled}

// repl holds a conversation until the input ends. A line that fails ends neither the session nor the conversation.
func (a *app) repl(ctx context.Context, c *client, f *chatFlags) error {
	a.interrupts()
	breaks := make(chan os.Signal, 4)
	signal.Notify(breaks, os.Interrupt)
	defer signal.Stop(breaks)
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	r := &repl{app: a, client: c, flags: f, tty: terminal(a.in), lines: readLines(ctx, a.in), breaks: breaks}
	return r.run(ctx)
}

// readLines reads ahead by one line, so that a reader can wait for something else as well.
func readLines(ctx context.Context, from io.Reader) <-chan inputLine {
	out := make(chan inputLine)
	go func() {
		defer close(out)
		in := bufio.NewScanner(from)
		in.Buffer(make([]byte, 0, 64<<10), 2<<20)
		for {
			var l inputLine
			if in.Scan() {
				l.text = in.Text()
			} else if l.err = in.Err(); l.err == nil {
				return
			}
			select {
			case out <- l:
			case <-ctx.Done():
				return
			}
			if l.err != nil {
				return
			}
		}
	}()
	return out
}

func (r *repl) run(ctx context.Context) error {
	var agents server.AgentList
	if _, err := r.client.get(ctx, "/api/v1/agents", &agents); err != nil {
		return err
	}
	if len(agents.Agents) > 0 {
		r.first = agents.Agents[0]
	}
	r.note("One prompt a line; !help lists commands, Ctrl-D ends.")
	for !r.over {
		text, err := r.line(r.agent() + "> ")
		switch {
		case errors.Is(err, io.EOF):
			r.over = true
			continue
		case err != nil:
			return err
		case strings.TrimSpace(text) == "":
			continue
		}
		if err = r.do(ctx, text); errors.Is(err, errLeave) {
			return err
		}
		if err != nil {
			report(r.app.err, err)
			r.failed = err
		}
	}
	if r.tty {
		r.app.sessionHint(r.flags.session)
		return nil
	}
	if r.failed != nil {
		return &exitError{exitCode(r.failed)}
	}
	return nil
}

// agent is the agent that is asked.
func (r *repl) agent() string {
	if r.flags.agent != "" {
		return r.flags.agent
	}
	return r.first
}

// note tells a person something that a script does not need.
func (r *repl) note(format string, args ...any) {
	if r.tty {
		_, _ = fmt.Fprintf(r.app.err, format+"\n", args...)
	}
}

// line is the next line of the input: io.EOF at its end, errLeave on an interrupt.
func (r *repl) line(prompt string) (string, error) {
	if r.tty {
		_, _ = io.WriteString(r.app.err, safe(prompt))
	}
	select {
	case l, ok := <-r.lines:
		switch {
		case !ok:
			r.note("")
			return "", io.EOF
		case l.err != nil:
			return "", fault.New(fault.BadRequest, "", "standard input cannot be read: %w", l.err)
		}
		return l.text, nil
	case <-r.breaks:
		r.note("")
		if r.tty {
			r.app.sessionHint(r.flags.session)
		}
		return "", errLeave
	}
}

// do does what one line says.
func (r *repl) do(ctx context.Context, text string) error {
	if prompt, ok := strings.CutPrefix(text, "!!"); ok {
		return r.ask(ctx, "!"+prompt)
	}
	if command, ok := strings.CutPrefix(text, "!"); ok {
		return r.command(ctx, command)
	}
	return r.ask(ctx, text)
}

// ask asks one prompt and shows the answer, through as many decisions of a person as it takes.
func (r *repl) ask(ctx context.Context, prompt string) error {
	s := r.app.newStream(r.client, r.flags, prompt, nil)
	for {
		broke, err := r.follow(ctx, s)
		if s.session != "" {
			r.flags.session = s.session
		}
		switch {
		case broke && !r.tty && (err == nil || fault.KindOf(err) == fault.Cancelled || errors.Is(err, context.Canceled)):
			return errLeave
		case broke && fault.KindOf(err) == fault.Cancelled:
			r.note("(cancelled)")
			return nil
		}
		if fault.KindOf(err) != fault.Waiting || s.waits == nil {
			return s.finish(ctx, err)
		}
		decided, derr := r.decide(ctx, s.waits)
		switch {
		case derr != nil:
			return derr
		case !decided:
			return err
		}
		s.waits = nil
	}
}

// follow follows a turn to its end. An interrupt cancels the turn, and a second one leaves it; broke tells of the first.
func (r *repl) follow(ctx context.Context, s *stream) (broke bool, err error) {
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	taken, done, watched := make(chan string, 1), make(chan struct{}), make(chan bool)
	s.taken = func(turn string) {
		select {
		case taken <- turn:
		default:
		}
	}
	if s.turn != "" {
		s.taken(s.turn)
	}
	go func() { watched <- r.watch(ctx, leave, taken, done) }()
	err = s.follow(ctx)
	close(done)
	return <-watched, err
}

// watch turns interrupts into a cancel of the turn, whose id may come later than the interrupt.
func (r *repl) watch(ctx context.Context, leave func(), taken <-chan string, done <-chan struct{}) (broke bool) {
	for turn, told := "", false; ; {
		select {
		case <-done:
			return broke
		case turn = <-taken:
		case <-r.breaks:
			if broke {
				leave()
				return broke
			}
			broke = true
			r.note("\n(cancelling; Ctrl-C again leaves it alone)")
		}
		if broke && turn != "" && !told {
			told = true
			if err := r.cancel(ctx, turn); err != nil {
				report(r.app.err, err)
			}
		}
	}
}

func (r *repl) cancel(ctx context.Context, turn string) error {
	ctx, stop := context.WithTimeout(ctx, 10*time.Second)
	defer stop()
	_, err := r.client.do(ctx, http.MethodPost, "/api/v1/turns/"+seg(turn)+"/cancel", nil)
	if fault.KindOf(err) == fault.Conflict { // it has ended
		return nil
	}
	return err
}
