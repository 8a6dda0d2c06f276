// Command demo tells the crash story in a terminal, with real processes: a server is killed with SIGKILL right after a
// tool has charged a card and before the charge was recorded; the next start finishes the turn, and the card was charged
// once. It exits with 1 if anything is not as it is told.
//
//	go build -tags failpoint -o bin/ak-demo ./cmd/ak
//	go build -o bin/paydesk ./examples/quickstart/paydesk
//	go run ./examples/demo
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// patience bounds each step of the story.
const patience = 20 * time.Second

func main() {
	s := &story{}
	flag.StringVar(&s.ak, "ak", "bin/ak-demo", "`path` of ak, built with -tags failpoint")
	flag.StringVar(&s.paydesk, "paydesk", "bin/paydesk", "`path` of the payment desk")
	flag.StringVar(&s.config, "config", "examples/quickstart/config.yaml", "`path` of the configuration")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := s.run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "\nThe story went wrong: "+err.Error())
		os.Exit(1)
	}
}

// story is one run of the demo.
type story struct {
	ak, paydesk, config string

	dir    string
	ledger string
	desk   *process
	server *process
	turn   string
}

func (s *story) run(ctx context.Context) (err error) {
	if s.dir, err = os.MkdirTemp("", "ak-demo-"); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(s.dir) }()
	s.ledger = filepath.Join(s.dir, "ledger.jsonl")
	defer func() {
		for _, p := range []*process{s.server, s.desk} {
			if p != nil {
				p.kill()
			}
		}
		if err != nil && s.server != nil {
			fmt.Fprintf(os.Stderr, "\nThe server's log:\n%s", s.server.said())
		}
	}()
	for _, step := range []func(context.Context) error{
		s.openDesk, s.crash, s.showCharge, s.restart, s.finish, s.askAgain, s.leave,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	say("\nOne request, two processes, one kill -9: one reply and one charge.")
	return nil
}

func say(format string, args ...any)    { fmt.Printf(format+"\n", args...) }
func heading(format string, a ...any)   { fmt.Printf("\n== "+format+"\n", a...) }
func detail(format string, args ...any) { fmt.Printf("   "+format+"\n", args...) }

// openDesk starts the tool: a service of its own that charges cards whenever it is told to. It answers a little late, so
// that the first events of the turn reach the client before the server is killed.
func (s *story) openDesk(ctx context.Context) (err error) {
	heading("A payment desk opens. It charges whenever it is told to, and never looks for duplicates.")
	s.desk, err = launch(ctx, nil, s.paydesk, "--addr", "127.0.0.1:0", "--ledger", s.ledger, "--latency", "300ms")
	if err == nil {
		detail("%s (process %d)", s.desk.url, s.desk.pid())
	}
	return err
}

// serve starts ak on the session file of this story.
func (s *story) serve(ctx context.Context, env ...string) (err error) {
	s.server, err = launch(ctx, env, s.ak, "serve", "--config", s.config, "--port", "0",
		"--set", "session.sqlite.path="+filepath.Join(s.dir, "agentkernel.db"),
		"--set", "execution.lease_ttl=1s", "--set", "execution.sweep_interval=200ms",
		"--set", "tools.charge_card.timeout=3s",
		"--set", "tools.charge_card.http.url="+s.desk.url+"/charge",
		"--set", "tools.charge_card.reconcile.http.url="+s.desk.url+"/charge/{idempotency_key}")
	return err
}

const (
	prompt = "charge order A-1 12.50"
	key    = "order-A-1"
)

// crash lets a turn begin on a server that dies by SIGKILL when the tool has answered and nothing is recorded yet.
func (s *story) crash(ctx context.Context) error {
	heading("A server starts. It will die by SIGKILL right after the tool has acted, before anything is written down.")
	if err := s.serve(ctx, "AK_FAILPOINT=tool.after:1:kill"); err != nil {
		return err
	}
	detail("%s (process %d)", s.server.url, s.server.pid())
	heading("A client asks, with an Idempotency-Key: %q", prompt)
	err := s.server.chat(ctx, prompt, key, func(typ string, data map[string]any) {
		detail("%-14s %s", typ, brief(data))
		if typ == "turn.accepted" {
			s.turn, _ = data["turn_id"].(string)
		}
	})
	if err == nil {
		return errors.New("the turn ended although the server should have died in the middle")
	}
	state, err := s.server.wait(ctx)
	if err != nil {
		return err
	}
	if status, ok := state.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL {
		return fmt.Errorf("the server ended with %s, not by SIGKILL; is %s built with -tags failpoint?", state, s.ak)
	}
	detail("the connection broke: the server is dead (%s)", state)
	if s.turn == "" {
		return errors.New("the client never learned that its turn was accepted")
	}
	return nil
}

func (s *story) showCharge(context.Context) error {
	heading("What the payment desk's own ledger says:")
	return s.charges(1)
}

// charges shows the ledger and fails unless it has so many lines.
func (s *story) charges(want int) error {
	data, err := os.ReadFile(s.ledger)
	if err != nil {
		return err
	}
	lines := strings.Fields(string(bytes.ReplaceAll(bytes.TrimSpace(data), []byte(" "), nil)))
	for _, line := range lines {
		detail("%s", line)
	}
	if len(lines) != want {
		return fmt.Errorf("the ledger has %d charges, not %d", len(lines), want)
	}
	return nil
}

func (s *story) restart(ctx context.Context) error {
	heading("A new server starts over the same file. Nobody tells it anything.")
	if err := s.serve(ctx); err != nil {
		return err
	}
	detail("%s (process %d)", s.server.url, s.server.pid())
	return nil
}

// finish follows the same turn to its end.
func (s *story) finish(ctx context.Context) error {
	heading("The same turn, followed at the new server:")
	began := time.Now()
	resolved, ended := "", ""
	err := s.server.events(ctx, s.turn, func(typ string, data map[string]any) {
		detail("%-14s %s", typ, brief(data))
		switch {
		case data["by"] != nil:
			resolved = fmt.Sprint(data["outcome"], " by ", data["by"])
		case typ == "done":
			ended = fmt.Sprint(data["state"])
		}
	})
	switch {
	case err != nil:
		return err
	case resolved != "happened by reconcile":
		return fmt.Errorf("the call in doubt was settled as %q, not by asking the tool", resolved)
	case ended != "completed":
		return fmt.Errorf("the turn is %q, not completed", ended)
	}
	detail("finished %.1f s after the new start: the tool was asked what had happened, and not called again", time.Since(began).Seconds())
	return nil
}

// askAgain sends the first request once more, as a client does whose answer never came.
func (s *story) askAgain(ctx context.Context) error {
	heading("The client, who never got its answer, sends the same request with the same key:")
	var first string
	for range 2 {
		status, answer, err := s.server.post(ctx, prompt, key)
		if err != nil {
			return err
		}
		detail("%d %s", status, answer["result"])
		switch {
		case status != 200 || answer["turn_id"] != s.turn:
			return fmt.Errorf("the answer is of turn %v, not of %s", answer["turn_id"], s.turn)
		case first != "" && first != answer["result"]:
			return errors.New("two answers for one key")
		}
		first, _ = answer["result"].(string)
	}
	heading("And the ledger still says:")
	return s.charges(1)
}

// leave ends the server as an operator would.
func (s *story) leave(ctx context.Context) error {
	heading("SIGTERM: the server drains and leaves.")
	s.server.terminate()
	state, err := s.server.wait(ctx)
	if err != nil {
		return err
	}
	detail("%s", state)
	if !state.Success() {
		return fmt.Errorf("the server ended with %s", state)
	}
	return nil
}

// brief is an event's data in one short line.
func brief(data map[string]any) string {
	short := map[string]any{}
	for _, name := range []string{"turn_id", "name", "args", "outcome", "by", "state", "text", "result", "reason"} {
		if v, ok := data[name]; ok && v != "" {
			short[name] = v
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(short) != nil {
		return ""
	}
	line := []rune(strings.TrimSpace(b.String()))
	if len(line) > 120 {
		line = append(line[:119], '…')
	}
	return string(line)
}
