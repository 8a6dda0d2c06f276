package config

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"regexp"
	"strings"
)

// Mask is what a secret prints as.
const Mask = "***"

// Secret is text that never prints. Every form that fmt, encoding/json, YAML and log/slog know shows [Mask], or nothing
// when the secret is empty. The zero value is an empty secret.
//
// The text is behind a pointer because fmt prints the inside of unexported fields without asking their methods; there
// it finds an address.
type Secret struct{ text *string }

// NewSecret wraps text.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{&text}
}

// Reveal is the text itself. Call it where the text is used, not where it is stored.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero reports whether the secret is empty.
func (s Secret) IsZero() bool { return s.text == nil }

// String is the mask.
func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return Mask
}

// GoString is the mask.
func (s Secret) GoString() string { return "config.Secret(" + s.String() + ")" }

// Format writes the mask for every verb.
func (s Secret) Format(f fmt.State, verb rune) { formatText(f, verb, s.String(), s.GoString()) }

// MarshalText is the mask.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalJSON is the mask.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// MarshalYAML is the mask.
func (s Secret) MarshalYAML() (any, error) { return s.String(), nil }

// LogValue is the mask.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// URL is the text of a URL, perhaps with {placeholders}. It prints without its password and without query values whose
// names sound secret. The zero value is no URL.
type URL struct {
	full  *string // behind a pointer for the same reason as a Secret's text
	shown string
}

// NewURL wraps the text of a URL. The text need not be valid.
func NewURL(text string) URL { return newURL(text, text) }

// newURL wraps full, and prints what was written: the two differ where written refers to secret files.
func newURL(full, written string) URL {
	if full == "" {
		return URL{}
	}
	return URL{full: &full, shown: maskURL(written)}
}

// Reveal is the whole text.
func (u URL) Reveal() string {
	if u.full == nil {
		return ""
	}
	return *u.full
}

// IsZero reports whether there is no URL.
func (u URL) IsZero() bool { return u.full == nil }

// String is the URL with its secret parts masked.
func (u URL) String() string { return u.shown }

// GoString is the URL with its secret parts masked.
func (u URL) GoString() string { return "config.URL(" + u.String() + ")" }

// Format writes the masked form for every verb.
func (u URL) Format(f fmt.State, verb rune) { formatText(f, verb, u.String(), u.GoString()) }

// MarshalText is the masked form.
func (u URL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// MarshalJSON is the masked form.
func (u URL) MarshalJSON() ([]byte, error) { return json.Marshal(u.String()) }

// MarshalYAML is the masked form.
func (u URL) MarshalYAML() (any, error) { return u.String(), nil }

// LogValue is the masked form.
func (u URL) LogValue() slog.Value { return slog.StringValue(u.String()) }

func formatText(f fmt.State, verb rune, text, goText string) {
	switch {
	case verb == 'v' && f.Flag('#'):
		text = goText
	case verb == 'q':
		text = fmt.Sprintf("%q", text)
	}
	_, _ = io.WriteString(f, text)
}

var (
	// userinfo takes everything up to the last @ before the path, as lenient parsers do; what precedes it is masked even
	// where the rest is no URL.
	userinfo    = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*:)?(//)?[^/?#]*@`)
	secretParam = regexp.MustCompile(`(?i)key|token|secret|passw|sig|auth|credential`)
)

func maskURL(text string) string {
	text = userinfo.ReplaceAllStringFunc(text, func(match string) string {
		scheme := ""
		if i := strings.Index(match, "//"); i >= 0 {
			scheme = match[:i+2]
		}
		return scheme + Mask + "@"
	})
	path, query, found := strings.Cut(text, "?")
	if !found {
		return text
	}
	pairs := strings.Split(query, "&")
	for i, pair := range pairs {
		name, value, found := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(name); err == nil {
			name = plain
		}
		if found && value != "" && secretParam.MatchString(name) && !wholePlaceholder(value) {
			pairs[i] = pair[:strings.Index(pair, "=")+1] + Mask
		}
	}
	return path + "?" + strings.Join(pairs, "&")
}

// passwordsIn are the forms of the password of a URL: as it is written, and as it is meant. The URL may name several hosts.
func passwordsIn(text string) (all []string) {
	_, rest, _ := strings.Cut(text, "://")
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	user := rest[:max(0, strings.LastIndexByte(rest, '@'))]
	if _, password, _ := strings.Cut(user, ":"); password != "" {
		all = append(all, password)
		if plain, err := url.PathUnescape(password); err == nil && plain != password {
			all = append(all, plain)
		}
	}
	return all
}

func wholePlaceholder(value string) bool {
	return strings.HasPrefix(value, "{") && strings.Index(value, "}") == len(value)-1
}
