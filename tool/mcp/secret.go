package mcptool

import (
	"encoding/base64"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// mask stands for a secret.
const mask = "***"

// scrubber replaces secrets in texts.
type scrubber []string

// credential finds the names of headers, variables and query values that prove who asks.
var credential = regexp.MustCompile(`(?i)key|token|secret|passw|sig|auth|credential|cookie`)

// newScrubber hides from errors the values of headers, with and without a scheme such as "Bearer", those of variables,
// and what a URL holds beside its path. Short values are no secrets, and replacing them would tear words apart.
func newScrubber(s *Spec) scrubber {
	return secretsOf(s, func(string) bool { return true })
}

// newHush hides from results, which are journaled and shown to the model, what proves who asks. It knows less than a
// scrubber of errors: to cut a harmless setting out of a result would change what the result says.
func newHush(s *Spec) scrubber {
	return slices.DeleteFunc(secretsOf(s, credential.MatchString), func(v string) bool { return len(v) < 8 })
}

// secretsOf collects the secrets of a server, of the headers, variables and query values whose names count.
func secretsOf(s *Spec, counts func(name string) bool) scrubber {
	var all scrubber
	add := func(shortest int, values ...string) {
		for _, v := range values {
			if len(v) >= shortest && !slices.Contains(all, v) {
				all = append(all, v)
			}
		}
	}
	for name, v := range s.Headers {
		if counts(name) {
			_, proof, _ := strings.Cut(v, " ")
			add(4, v, strings.TrimSpace(proof))
		}
	}
	for name, v := range s.Env {
		if counts(name) {
			add(8, v)
		}
	}
	if u, err := url.Parse(s.URL); err == nil && s.URL != "" {
		password, ok := u.User.Password()
		if ok {
			add(4, password, url.QueryEscape(password))
		} else {
			add(4, u.User.Username())
		}
		if u.User != nil {
			add(4, base64.StdEncoding.EncodeToString([]byte(u.User.Username()+":"+password)))
		}
		for name, values := range u.Query() {
			if counts(name) {
				for _, v := range values {
					add(4, v, url.QueryEscape(v))
				}
			}
		}
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

// cleanCut is clean for a text whose end was cut off: what is left of a secret there goes too.
func (s scrubber) cleanCut(text string) string {
	for _, secret := range s {
		for n := min(len(secret)-1, len(text)); n >= 4; n-- {
			if strings.HasSuffix(text, secret[:n]) {
				return s.clean(text[:len(text)-n]) + mask
			}
		}
	}
	return s.clean(text)
}
