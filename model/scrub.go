package model

import (
	"encoding/base64"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// maxErrorText bounds what Scrubber.Clean returns, in bytes.
const maxErrorText = 400

// keyLike finds what looks like a credential even if it is not ours: servers repeat keys, in full or with stars.
var keyLike = regexp.MustCompile(`(?i)\bsk-[\w*-]{6,}|\bbearer\s+[^\s"',]+|://[^\s/@]+@`)

// Scrubber removes secrets from the texts of errors, for providers: servers and libraries repeat what they were given.
// It is safe for concurrent use.
type Scrubber struct{ secrets []string }

// NewScrubber makes a Scrubber that knows these secrets, of at least 4 bytes each; shorter ones are ignored.
func NewScrubber(secrets ...string) *Scrubber {
	s := &Scrubber{}
	for _, v := range secrets {
		if len(v) >= 4 { // shorter ones are placeholders, and removing them would cut words apart
			s.secrets = append(s.secrets, v)
		}
	}
	slices.SortFunc(s.secrets, func(a, b string) int { return len(b) - len(a) }) // one may contain another
	return s
}

// Clean makes text safe and fit to show: without the secrets and what looks like one, in one line, of at most about 400
// bytes. Secrets go first, so that no cut leaves half of one.
func (s *Scrubber) Clean(text string) string {
	for _, secret := range s.secrets {
		text = strings.ReplaceAll(text, secret, "[secret]")
	}
	text = keyLike.ReplaceAllStringFunc(text, func(m string) string {
		if strings.HasPrefix(m, "://") {
			return "://[secret]@"
		}
		return "[secret]"
	})
	text = strings.ToValidUTF8(text, "?")
	gap := func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }
	text = strings.Join(strings.FieldsFunc(text, gap), " ")
	if len(text) > maxErrorText {
		text = strings.ToValidUTF8(text[:maxErrorText], "") + "…"
	}
	return text
}

// URLSecrets are what must not be shown of a URL: the password of its user, or the user where there is none, also in the
// form that a request's header has, and the values of its query.
func URLSecrets(text string) []string {
	u, err := url.Parse(text)
	if err != nil {
		return nil
	}
	var all []string
	if u.User != nil {
		secret, ok := u.User.Password()
		if !ok {
			secret = u.User.Username()
		}
		basic := u.User.Username() + ":"
		if ok {
			basic += secret
		}
		all = append(all, secret, url.QueryEscape(secret), url.PathEscape(secret), base64.StdEncoding.EncodeToString([]byte(basic)))
	}
	for _, values := range u.Query() {
		for _, v := range values {
			all = append(all, v, url.QueryEscape(v))
		}
	}
	return all
}
