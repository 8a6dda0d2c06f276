package gemini

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// maxText bounds an error's text, in bytes.
const maxText = 400

// keyLike finds what looks like a credential even if it is not ours: servers repeat keys, in full or with stars.
var keyLike = regexp.MustCompile(`\bAIza[\w*-]{6,}|\bAQ\.[\w*-]{6,}|(?i)[?&]key=[^\s"',&]+|\bbearer\s+[^\s"',]+|://[^\s/@]+@`)

// scrubber removes secrets from texts.
type scrubber struct{ secrets []string }

func newScrubber(secrets ...string) *scrubber {
	s := &scrubber{}
	for _, v := range secrets {
		if len(v) >= 4 { // shorter ones are placeholders, and removing them would cut words apart
			s.secrets = append(s.secrets, v)
		}
	}
	slices.SortFunc(s.secrets, func(a, b string) int { return len(b) - len(a) }) // one may contain another
	return s
}

// clean makes text safe and fit to show: no secrets, one line, bounded. Secrets go first, so that no cut leaves half
// of one.
func (s *scrubber) clean(text string) string {
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
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "…"
	}
	return text
}
