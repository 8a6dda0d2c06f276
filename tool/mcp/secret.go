package mcptool

import (
	"net/url"
	"slices"
	"strings"
)

// mask stands for a secret.
const mask = "***"

// scrubber replaces secrets in texts.
type scrubber []string

// newScrubber hides the values of headers, with and without a scheme such as "Bearer", those of variables, and what a URL
// holds beside its path. Short values are no secrets, and replacing them would tear words apart.
func newScrubber(s *Spec) scrubber {
	var all scrubber
	add := func(shortest int, values ...string) {
		for _, v := range values {
			if len(v) >= shortest && !slices.Contains(all, v) {
				all = append(all, v)
			}
		}
	}
	for _, v := range s.Headers {
		_, credential, _ := strings.Cut(v, " ")
		add(4, v, strings.TrimSpace(credential))
	}
	for _, v := range s.Env {
		add(8, v)
	}
	if u, err := url.Parse(s.URL); err == nil && s.URL != "" {
		if password, ok := u.User.Password(); ok {
			add(4, password, url.QueryEscape(password))
		}
		add(4, u.User.Username(), u.RawQuery)
		for _, values := range u.Query() {
			add(4, values...)
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
