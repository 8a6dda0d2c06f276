package mcptool

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/session"
)

// Spec says which server to use and how its tools are to be treated. Name and one of Command and URL are required.
type Spec struct {
	Name string // of the server: the first part of its tools' names, letters, digits, - and _, at most 32

	Command []string          // a program and its arguments, spoken to over standard input and output
	Dir     string            // where the program runs, empty for where this process does
	Env     map[string]string // added to the few variables that the program inherits

	URL     string            // of a server that speaks streamable HTTP, http or https
	Headers map[string]string // added to each request; the values are kept out of errors and logs

	Only     []string          // the server's names of the tools to offer, empty for all of them
	Defaults Policy            // for every tool
	Tools    map[string]Policy // by the server's name of the tool; a field that is set stands before Defaults

	MaxResult    int           // bytes of a result that the model is shown, 0 means 256 KiB
	StartTimeout time.Duration // until the server has told its tools, 0 means 30s
	Logger       *slog.Logger  // of what programs write to their standard error; nil for none
}

// Policy is what the operator knows of a tool. A zero field has the default of [agentkernel.Tool].
type Policy struct {
	Effect   session.Effect
	Refuses  agentkernel.Refuses
	OnDoubt  agentkernel.OnDoubt
	Timeout  time.Duration // per call
	Approval agentkernel.Approval
}

// over is p where it says something, else d.
func (p Policy) over(d Policy) Policy {
	p.Effect = cmp.Or(p.Effect, d.Effect)
	p.Refuses = cmp.Or(p.Refuses, d.Refuses)
	p.OnDoubt = cmp.Or(p.OnDoubt, d.OnDoubt)
	p.Timeout = cmp.Or(p.Timeout, d.Timeout)
	if p.Approval.When == "" {
		p.Approval = d.Approval
	}
	return p
}

const (
	maxServerName = 32
	maxToolName   = 64 // what model providers take

	defaultStart     = 30 * time.Second
	defaultMaxResult = 256 << 10
)

// ownHeaders are set by the protocol, or would make net/http send a request twice.
var ownHeaders = []string{
	"Idempotency-Key", "X-Idempotency-Key", "Host", "Content-Length", "Content-Type", "Accept", "Transfer-Encoding",
	"Connection", "Trailer", "Upgrade", "Mcp-Session-Id", "Mcp-Protocol-Version", "Last-Event-Id",
}

// check completes a spec and lists what is wrong with it.
func (s *Spec) check() (problems []string) {
	bad := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	if s.Name == "" || len(s.Name) > maxServerName || s.Name != providerName(s.Name) {
		bad("name %.40q is not 1 to %d letters, digits, - and _", s.Name, maxServerName)
	}
	switch {
	case len(s.Command) == 0 && s.URL == "":
		bad("neither command nor url is given")
	case len(s.Command) > 0 && s.URL != "":
		bad("command and url are both given")
	case len(s.Command) > 0 && s.Command[0] == "":
		bad("command is empty")
	case s.URL != "" && (len(s.Env) > 0 || s.Dir != ""):
		bad("env and dir are for programs, not for a url")
	case len(s.Command) > 0 && len(s.Headers) > 0:
		bad("headers are for a url, not for a program")
	}
	for name := range s.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.Contains(s.Env[name], "\x00") {
			bad("env: %.40q cannot be a variable", name)
		}
	}
	if s.URL != "" {
		if u, err := url.Parse(s.URL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			bad("url is not an absolute http or https address") // without the address, which may hold a secret
		}
	}
	for name := range s.Headers {
		if slices.Contains(ownHeaders, http.CanonicalHeaderKey(name)) {
			bad("the header %.40s cannot be set", name)
		}
	}
	if s.MaxResult < 0 || s.StartTimeout < 0 || s.Defaults.Timeout < 0 {
		bad("max_result and time-outs cannot be negative")
	}
	s.MaxResult = cmp.Or(s.MaxResult, defaultMaxResult)
	s.StartTimeout = cmp.Or(s.StartTimeout, defaultStart)
	if s.Logger == nil {
		s.Logger = slog.New(slog.DiscardHandler)
	}
	slices.Sort(problems)
	return problems
}

// where is what the server is called in errors: nothing that may hold a secret.
func (s *Spec) where() string {
	if s.URL != "" {
		if u, err := url.Parse(s.URL); err == nil {
			return u.Scheme + "://" + u.Host
		}
	}
	return s.Command[0]
}
