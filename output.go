package agentkernel

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/agentkernel/agentkernel/session"
)

// reply makes of a model's last answer the turn's reply. With an output schema the text must be a JSON document that fits
// it; what does not is an error that says where.
func (t *Turn) reply(text string) (Reply, error) {
	r := Reply{Text: text}
	if t.wrapped != "" {
		what, _, _ := strings.Cut(t.wrapped, ":")
		what, _, _ = strings.Cut(what, " ")
		r.Degraded = []session.Degraded{{What: what, Why: t.wrapped}}
	}
	if t.agent.output == nil {
		return r, nil
	}
	document := []byte(unfenced(text))
	if !json.Valid(document) {
		return r, errors.New("the answer is not a JSON document")
	}
	if err := t.agent.output.Check(document); err != nil {
		return r, err
	}
	r.Value = document
	return r, nil
}

// unfenced is a JSON text without the code fence that models like to put around it.
func unfenced(text string) string {
	text = strings.TrimSpace(text)
	if inner, ok := strings.CutPrefix(text, "```"); ok {
		if inner, ok = strings.CutSuffix(inner, "```"); ok {
			return strings.TrimSpace(strings.TrimPrefix(inner, "json"))
		}
	}
	return text
}

// repair is what a model is told whose answer does not fit.
func repair(problem error) string {
	return "Your answer does not fit the required JSON Schema: " + problem.Error() +
		". Answer again with the whole corrected JSON document and nothing else."
}
