package model

import (
	"strconv"
	"strings"

	"github.com/agentkernel/agentkernel/fault"
)

// ErrorTable says which kind of failure a provider's error is. It is data, so that a change is a line.
type ErrorTable struct {
	// Codes decide first, wherever the error carries them: as its code, its type, or its status word; in lower case.
	Codes map[string]fault.Kind
	// Texts tell apart what one status is used for; they matter only where no code decided.
	Texts []ErrorText
	// Vague are names that servers also use for failures that the status tells better, so they come last. They decide
	// inside a stream, which has no status.
	Vague map[string]fault.Kind
}

// ErrorText is a text, in lower case, that decides for errors of some statuses; 0 stands for an error inside a stream.
type ErrorText struct {
	Statuses []int
	Text     string
	Kind     fault.Kind
}

// statusKinds decide where neither a code nor a text did. Others fall to their hundred.
var statusKinds = map[int]fault.Kind{
	400: fault.Invalid,
	401: fault.Auth,
	402: fault.Quota,
	403: fault.Auth,
	404: fault.ModelGone, // the address has nothing else that could be missing; another target may have it
	408: fault.Transient,
	409: fault.Transient,
	424: fault.Transient,
	425: fault.Transient,
	429: fault.Throttled,
	499: fault.Transient,
	503: fault.Overloaded,
	529: fault.Overloaded,
}

// Kind decides about an error with a status, which is 0 inside a stream, a text, and names in order of precedence.
func (t *ErrorTable) Kind(status int, text string, names ...string) fault.Kind {
	for _, name := range names {
		if n, err := strconv.Atoi(name); err == nil && status == 0 && n >= 400 && n <= 599 {
			status = n // some servers give the status as the code
		}
	}
	if kind, ok := lookup(t.Codes, names); ok {
		return kind
	}
	text = strings.ToLower(text)
	for _, row := range t.Texts {
		for _, s := range row.Statuses {
			if s == status && strings.Contains(text, row.Text) {
				return row.Kind
			}
		}
	}
	if kind, ok := statusKinds[status]; ok {
		return kind
	}
	switch {
	case status >= 500 && status <= 599:
		return fault.Transient
	case status >= 400 && status <= 499:
		return fault.Invalid
	}
	if kind, ok := lookup(t.Vague, names); ok {
		return kind
	}
	return fault.Unknown
}

func lookup(table map[string]fault.Kind, names []string) (fault.Kind, bool) {
	for _, name := range names {
		if kind, ok := table[strings.ToLower(name)]; ok {
			return kind, true
		}
	}
	return "", false
}

// Advice is what a reader can do about a failure of a kind; empty for most.
func Advice(kind fault.Kind) string {
	switch kind {
	case fault.Auth:
		return "check the provider's API key and what it is allowed to do"
	case fault.Quota:
		return "check the account's balance and limits at the provider, or use another key"
	case fault.ModelGone:
		return "check the model's name and the base URL"
	case fault.ContextOverflow:
		return "shorten the conversation or use a model with a longer window"
	}
	return ""
}
