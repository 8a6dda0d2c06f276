package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"github.com/agentkernel/agentkernel/fault"
)

// ak runs a command beside a server and returns what it wrote and its exit code.
func (p *process) ak(args ...string) (out, errs string, code int) {
	p.t.Helper()
	var o, e strings.Builder
	cmd := exec.Command(akBinary, append(args, "--url", p.url)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.cmd.Dir, &o, &e
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		p.t.Fatal(err)
	}
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}

// theTurn is the one turn in a state.
func (p *process) theTurn(state string) string {
	p.t.Helper()
	out, errs, code := p.ak("turns", "ls", "--state", state, "-o", "json")
	var list struct {
		Turns []struct {
			ID string `json:"turn_id"`
		} `json:"turns"`
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil || code != 0 || len(list.Turns) != 1 {
		p.t.Fatalf("turns that are %s: %s%s (exit code %d, %v)", state, out, errs, code, err)
	}
	return list.Turns[0].ID
}

func TestAnOperatorSettlesACallInDoubt(t *testing.T) {
	desk := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer desk.Close()
	p := startServer(t, folder(t, `
session: {sqlite: {path: ./store.db}}
providers: {offline: {type: scripted}}
tools: [{name: charge_card, http: {url: "`+desk.URL+`/charge"}}]
agents: [{name: assistant, model: offline/demo, tools: [charge_card]}]
`))
	out, errs, code := p.ak("chat", "--key", "k1", "charge order A-1 12.50")
	if code != fault.ExitWaiting || out != "" || !strings.Contains(errs, "in_doubt") || !strings.Contains(errs, "Try: find out, then: ak turns resolve ") {
		t.Fatalf("exit code %d: %q, %q", code, out, errs)
	}
	turn := p.theTurn("waiting")
	held := sessionOf(turn)
	if _, errs, code := p.ak("chat", "--session", held, "hello"); code != fault.ExitWaiting || !strings.Contains(errs, "behind turn "+turn) {
		t.Errorf("a turn behind it: exit code %d, %s", code, errs)
	}
	if out, _, _ := p.ak("turns", "show", turn); !strings.Contains(out, "waiting (in_doubt)") || !strings.Contains(out, "did charge_card take place?") {
		t.Errorf("it is shown as %s", out)
	}
	for _, verb := range []string{"release", "discard", "retry"} {
		if _, errs, code := p.ak("turns", verb, turn); code != fault.ExitFailed || !strings.Contains(errs, "Error: ") {
			t.Errorf("%s: exit code %d, %s", verb, code, errs)
		}
	}
	if out, errs, code := p.ak("turns", "resolve", turn, "--outcome", "happened", "--result", "receipt R-9", "--note", "seen in the ledger"); code != 0 || !strings.Contains(out, "resolved: turn ") {
		t.Fatalf("exit code %d: %s%s", code, out, errs)
	}
	p.settled(turn)
	out, _, _ = p.ak("turns", "show", turn)
	if !strings.Contains(out, "I charged order A-1 with 12.50: receipt R-9") {
		t.Errorf("it ended as %s", out)
	}
	if out, errs, code := p.ak("chat", "--key", "k1", "charge order A-1 12.50"); code != 0 || !strings.Contains(out, "receipt R-9") {
		t.Errorf("the same request, after all: exit code %d, %s%s", code, out, errs)
	}
}

func sessionOf(turn string) string {
	id, _, _ := strings.Cut(turn, "~")
	return id
}

// settled follows a turn to its end.
func (p *process) settled(turn string) {
	p.t.Helper()
	if _, err := p.status("/api/v1/turns/" + turn + "/events"); err != nil {
		p.t.Fatal(err)
	}
}

func TestAnOperatorCancelsATurnAndStartsItAgain(t *testing.T) {
	s := newStalling(t)
	p := startServer(t, folder(t, s.config("")))
	done := make(chan int, 1)
	var errs string
	go func() {
		var code int
		_, errs, code = p.ak("chat", "my name is Ada")
		done <- code
	}()
	<-s.asked
	turn := p.theTurn("running")
	if out, _, code := p.ak("turns", "cancel", turn); code != 0 || !strings.Contains(out, "cancelled: turn "+turn) {
		t.Fatalf("exit code %d: %s", code, out)
	}
	if code := <-done; code != fault.ExitCancelled || !strings.Contains(errs, "the turn was cancelled") {
		t.Errorf("the caller: exit code %d, %s", code, errs)
	}
	s.release()
	out, errs, code := p.ak("turns", "retry", turn, "-o", "json")
	var again struct {
		ID      string `json:"turn_id"`
		RetryOf string `json:"retry_of"`
	}
	if err := json.Unmarshal([]byte(out), &again); err != nil || code != 0 || again.RetryOf != turn {
		t.Fatalf("exit code %d: %s%s (%v)", code, out, errs, err)
	}
	p.settled(again.ID)
	if out, _, _ := p.ak("turns", "show", again.ID); !strings.Contains(out, "Nice to meet you, Ada") {
		t.Errorf("it ended as %s", out)
	}
}
