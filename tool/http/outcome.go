package httptool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/fault"
)

// maxShown bounds the part of a refusal's body that goes into an error's text, in bytes.
const maxShown = 4 << 10

// cutError says that a response began and did not come whole.
type cutError struct {
	status int
	err    error
}

func (e *cutError) Error() string {
	return fmt.Sprintf("the response (status %d) broke off: %v", e.status, e.err)
}

func (e *cutError) Unwrap() error { return e.err }

// readUpTo reads at most limit bytes. An error before that many came means that the body is incomplete.
func readUpTo(r io.Reader, limit int64) (string, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit))
	return string(b), err
}

// resultOf makes the outcome of a call of its response.
func (t *tool) resultOf(a *answer) (string, error) {
	if a.status >= 200 && a.status <= 299 {
		return t.hush.stars(a.body), nil
	}
	err := t.refusal(a)
	seenBefore := t.spec.Refuses != agentkernel.RefusesNothing &&
		(a.status == http.StatusConflict || a.status == http.StatusPreconditionFailed)
	if !certainlyRefused(a.status) || seenBefore {
		return "", agentkernel.Unclear(err)
	}
	return "", err
}

// certainlyRefused reports that a status says that the request had no effect.
func certainlyRefused(status int) bool {
	return status >= 400 && status <= 499 ||
		status == http.StatusTemporaryRedirect || status == http.StatusPermanentRedirect // "ask there instead"
}

func (t *tool) refusal(a *answer) error {
	text := fmt.Sprintf("the tool answered %d", a.status)
	if name := http.StatusText(a.status); name != "" {
		text += " " + name
	}
	if a.status >= 300 && a.status <= 399 {
		text += ", a redirect, which is not followed"
	}
	if body := strings.TrimSpace(a.body); body != "" {
		text += ": " + cut(t.scrub(body)) // in this order, so that no half of a secret is left
	}
	return fault.New(kindOf(a.status), "", "%s", text)
}

// kindOf is the kind of a status that is no success.
func kindOf(status int) fault.Kind {
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return fault.Auth
	case status == http.StatusTooManyRequests:
		return fault.Throttled
	case status >= 500:
		return fault.Transient
	}
	return fault.Invalid
}

// failure makes the outcome of a call that has no whole response.
func (t *tool) failure(s *sending, err error) error {
	kind, err := causeOf(err)
	if !s.left.Load() {
		return fault.New(kind, "", "the call was not sent: %s", t.scrub(err.Error()))
	}
	return agentkernel.Unclear(fault.New(kind, "", "the call was sent, and no whole answer came: %s", t.scrub(err.Error())))
}

// causeOf is the kind of an error of send, and the error without a URL around it, which may hold a secret.
func causeOf(err error) (fault.Kind, error) {
	var cut *cutError
	var egress *egressError
	var address *url.Error
	kind := fault.Transient
	switch {
	case errors.As(err, &cut):
		kind = fault.Truncated
	case errors.As(err, &egress):
		kind = fault.Config
		err = egress
	case errors.Is(err, context.Canceled):
		kind = fault.Cancelled
	case errors.Is(err, context.DeadlineExceeded):
		kind = fault.TimeoutTotal
	}
	if errors.As(err, &address) {
		err = address.Err
	}
	return kind, err
}

// mask stands for a secret.
const mask = "***"

// scrubber replaces secrets in texts.
type scrubber []string

// credential finds the names of headers and query values that prove who sends a request.
var credential = regexp.MustCompile(`(?i)key|token|secret|passw|sig|auth|credential|cookie`)

// newHush hides what proves who sends a request from the tool's results, which are journaled and shown to the model. It
// knows less than the scrubber of errors: to cut a harmless setting out of a result would change what the result says.
func newHush(requests ...*request) scrubber {
	return slices.DeleteFunc(secretsOf(credential.MatchString, requests), func(v string) bool { return len(v) < 8 })
}

// stars puts a star for each byte of a secret, so that a text that was cut keeps its length, and of the beginning of one
// at the end, where the cut may have been.
func (s scrubber) stars(text string) string {
	for _, secret := range s {
		text = strings.ReplaceAll(text, secret, strings.Repeat("*", len(secret)))
		for n := min(len(secret)-1, len(text)); n >= 8; n-- {
			if strings.HasSuffix(text, secret[:n]) {
				text = text[:len(text)-n] + strings.Repeat("*", n)
				break
			}
		}
	}
	return text
}

// newScrubber hides header values, with and without a scheme such as "Bearer", and what a URL holds beside its path.
// Values of less than four characters are no secrets, and replacing them would tear words apart.
func newScrubber(requests ...*request) scrubber {
	return secretsOf(func(string) bool { return true }, requests)
}

// secretsOf collects the secrets of requests, of the headers and query values whose names count.
func secretsOf(counts func(name string) bool, requests []*request) scrubber {
	var all scrubber
	add := func(values ...string) {
		for _, v := range values {
			if len(v) >= 4 && !slices.Contains(all, v) {
				all = append(all, v)
			}
		}
	}
	for _, r := range requests {
		if r == nil {
			continue
		}
		for name, v := range r.headers {
			if counts(name) {
				_, proof, _ := strings.Cut(v, " ")
				add(v, strings.TrimSpace(proof))
			}
		}
		add(r.template.secrets(counts)...)
	}
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) }) // one may hold another
	return all
}

func (s scrubber) clean(text string) string {
	for _, secret := range s {
		text = strings.ReplaceAll(text, secret, mask)
	}
	return text
}
