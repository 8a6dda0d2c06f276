package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// waits says which turn a person has to settle, and why.
type waits struct {
	turn   string // the one that waits, which may be in front of the one that is followed
	reason session.WaitReason
}

// decide asks a person what a turn waits for. It reports whether everything was decided; in doubt and quarantine are not
// decided by a yes or no, and are left to ak turns.
func (r *repl) decide(ctx context.Context, w *waits) (all bool, err error) {
	if w.reason != session.WaitApproval {
		return false, nil
	}
	var t agentkernel.TurnInfo
	if _, err := r.client.get(ctx, "/api/v1/turns/"+seg(w.turn), &t); err != nil {
		return false, err
	}
	if t.State != session.Waiting || t.Waiting == nil {
		return true, nil // somebody else was quicker
	}
	if len(t.Waiting.Asks) == 0 {
		return false, nil
	}
	for _, ask := range t.Waiting.Asks {
		_, _ = fmt.Fprintf(r.app.err, "The agent wants to call %s %s\n", printable(ask.Name), safe(string(ask.Args)))
		verb, note, err := r.yesOrNo()
		if err != nil || verb == "" {
			return false, err
		}
		body := decisionBody{Step: ask.Step, Digest: ask.Digest, Note: note}
		if _, err := r.client.do(ctx, http.MethodPost, "/api/v1/turns/"+seg(w.turn)+"/"+verb, body); err != nil {
			return false, err
		}
	}
	return true, nil
}

// yesOrNo reads an answer: approve, deny, or nothing when it is neither. Only a bare yes is a yes; what stands behind a
// no is told to the model.
func (r *repl) yesOrNo() (verb, note string, err error) {
	text, err := r.line("May it? y, n, n and a reason, or nothing to decide later: ")
	if errors.Is(err, io.EOF) {
		r.over = true
		return "", "", nil
	}
	word, rest, _ := strings.Cut(strings.TrimSpace(text), " ")
	rest = strings.TrimSpace(rest)
	switch strings.ToLower(strings.TrimRight(word, ",:")) {
	case "y", "yes":
		if rest == "" {
			return "approve", "", err
		}
	case "n", "no":
		return "deny", rest, err
	}
	if err == nil && strings.TrimSpace(text) != "" {
		err = fault.New(fault.BadRequest, "", "%q is neither y nor n; the call still waits, and nothing was asked", cut(text, 40))
	}
	return "", "", err
}

// decisionBody is a person's yes or no as the server takes it.
type decisionBody struct {
	Step   string `json:"step,omitempty"`
	Digest string `json:"digest,omitempty"`
	Note   string `json:"note,omitempty"`
}
