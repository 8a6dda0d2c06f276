package main

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel/fault"
)

// approving is a server whose one tool charges only after somebody's yes.
func approving(t *testing.T) (*process, *desk) {
	t.Helper()
	d := newDesk(t)
	return startServer(t, folder(t, `
session: {sqlite: {path: ./store.db}}
execution: {drain: {delay: 0s, timeout: 10s}}
providers: {offline: {type: scripted}}
tools:
  - name: charge_card
    approval: {when: always}
    parameters: {type: object, properties: {order: {type: string}, amount: {type: number}}, required: [order, amount]}
    http: {url: "`+d.URL+`/charge"}
agents: [{name: assistant, model: offline/demo, tools: [charge_card]}]
`)), d
}

func TestAnOperatorApprovesACallOnceAndDeniesAnother(t *testing.T) {
	p, d := approving(t)
	out, errs, code := p.ak("chat", "charge order A-1 12.50")
	if code != fault.ExitWaiting || out != "" || !strings.Contains(errs, "(approval)") || !strings.Contains(errs, "ak turns approve ") {
		t.Fatalf("exit code %d: %q, %q", code, out, errs)
	}
	turn := p.theTurn("waiting")
	shown, _, _ := p.ak("turns", "show", turn)
	asks := regexp.MustCompile(`asks for +step (\S+): charge_card (.*) \(digest (\S+), until`).FindStringSubmatch(shown)
	if asks == nil || !strings.Contains(asks[2], "A-1") || d.charges.Load() != 0 {
		t.Fatalf("it is shown as %s, with %d charges", shown, d.charges.Load())
	}
	if _, errs, code := p.ak("turns", "approve", turn, "--digest", "another"); code == 0 {
		t.Errorf("another call was approved: %s", errs)
	}
	if out, errs, code := p.ak("turns", "approve", turn, "--step", asks[1], "--digest", asks[3], "--note", "seen"); code != 0 || !strings.Contains(out, "approved: turn "+turn) {
		t.Fatalf("exit code %d: %s%s", code, out, errs)
	}
	p.settled(turn)
	if out, _, _ := p.ak("turns", "show", turn); !strings.Contains(out, "I charged order A-1") || d.charges.Load() != 1 {
		t.Errorf("it ended as %s, with %d charges", out, d.charges.Load())
	}
	if _, errs, code := p.ak("turns", "deny", turn); code != fault.ExitFailed {
		t.Errorf("it was denied too: exit code %d, %s", code, errs)
	}

	if _, _, code := p.ak("chat", "charge order B-2 1"); code != fault.ExitWaiting {
		t.Fatalf("exit code %d", code)
	}
	turn = p.theTurn("waiting")
	if out, errs, code := p.ak("turns", "deny", turn, "--note", "too much"); code != 0 || !strings.Contains(out, "denied: turn ") {
		t.Errorf("exit code %d: %s%s", code, out, errs)
	}
	p.settled(turn)
	if out, _, _ := p.ak("sessions", "tail", sessionOf(turn)); !strings.Contains(out, "too much") || !strings.Contains(out, "done ") || d.charges.Load() != 1 {
		t.Errorf("it ended as %s, with %d charges", out, d.charges.Load())
	}
}

func TestAConversationAsksBeforeACallIsMade(t *testing.T) {
	p, d := approving(t)
	chat := exec.Command(akBinary, "chat", "--url", p.url)
	chat.Dir, chat.Stdin = t.TempDir(), strings.NewReader("charge order A-1 12.50\ny\ncharge order B-2 1\nno\n")
	var out, errs strings.Builder
	chat.Stdout, chat.Stderr = &out, &errs
	if err := chat.Run(); err != nil || d.charges.Load() != 1 || !strings.Contains(out.String(), "I charged order A-1 with 12.5") {
		t.Errorf("%v, %d charges: %s%s", err, d.charges.Load(), &out, &errs)
	}
	if strings.Count(errs.String(), "The agent wants to call charge_card {") != 2 {
		t.Errorf("it was asked: %s", &errs)
	}
}

func TestAFollowerOfASessionSeesItsNextTurn(t *testing.T) {
	p := startServer(t, quickConfig(t, "127.0.0.1:1"))
	if _, errs, code := p.ak("chat", "--session", "s1", "hello"); code != 0 {
		t.Fatal(errs)
	}
	follower := launch(t, p.cmd.Dir, nil, "sessions", "tail", "s1", "--follow", "--url", p.url)
	for limit := time.Now().Add(patient); time.Now().Before(limit); { // it tells the whole of the first turn that comes once it is there
		if _, errs, code := p.ak("chat", "--session", "s1", "my name is Ada"); code != 0 {
			t.Fatal(errs)
		}
		if strings.Contains(follower.said(), "turn.accepted") {
			break
		}
	}
	follower.await(`turn\.accepted +assistant$`)
	follower.await(`done +completed Nice to meet you, Ada`)
	if strings.Contains(follower.said(), "Hello!") {
		t.Errorf("it tells what was before: %s", follower.said())
	}
}

func TestFilesReachTheServer(t *testing.T) {
	p := startServer(t, quickConfig(t, "127.0.0.1:1"))
	write(t, filepath.Join(p.cmd.Dir, "note.md"), "# hello")
	if out, errs, code := p.ak("chat", "--file", "note.md", "--session", "f1", "hello"); code != 0 {
		t.Errorf("exit code %d: %s%s", code, out, errs)
	}
	write(t, filepath.Join(p.cmd.Dir, "large.md"), strings.Repeat("x", 11<<20))
	if _, errs, code := p.ak("chat", "--file", "large.md", "hello"); code != fault.ExitUsage {
		t.Errorf("too large: exit code %d: %s", code, errs)
	}
}
