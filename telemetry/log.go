package telemetry

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strings"

	"github.com/agentkernel/agentkernel/fault"
)

// Mask stands in a log for what must not be in it.
const Mask = "***"

// NewLogger makes a logger. The level is debug, info, warn or error, the format json or text; empty means info and json.
// What looks like a secret, by its key or by its form, is masked wherever it stands: it is a net below those who log, not
// a licence to log everything.
func NewLogger(w io.Writer, level, format string) (*slog.Logger, error) {
	const op = "telemetry.NewLogger"
	opts := &slog.HandlerOptions{ReplaceAttr: redact}
	if level != "" {
		var l slog.Level
		if err := l.UnmarshalText([]byte(level)); err != nil {
			return nil, fault.New(fault.Config, op, "log level is %.40q", level).WithTry("use debug, info, warn or error")
		}
		opts.Level = l
	}
	switch format {
	case "", "json":
		return slog.New(slog.NewJSONHandler(w, opts)), nil
	case "text":
		return slog.New(slog.NewTextHandler(w, opts)), nil
	}
	return nil, fault.New(fault.Config, op, "log format is %.40q", format).WithTry("use json or text")
}

// redact masks one attribute. Members of groups come here one by one.
func redact(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
		return a
	}
	if secretKey(a.Key) && a.Value.Kind() != slog.KindGroup {
		return slog.String(a.Key, Mask)
	}
	switch a.Value.Kind() {
	case slog.KindString:
		a.Value = slog.StringValue(scrub(a.Value.String()))
	case slog.KindAny:
		a.Value = redactAny(a.Value.Any())
	}
	return a
}

// redactAny masks inside a value of any type, in the form in which it would be written.
func redactAny(v any) slog.Value {
	switch v := v.(type) {
	case nil:
		return slog.AnyValue(nil)
	case error:
		return slog.StringValue(scrub(v.Error()))
	case fmt.Stringer:
		return slog.StringValue(scrub(v.String()))
	case []byte:
		return slog.StringValue(scrub(string(v)))
	}
	b, err := json.Marshal(v)
	if err != nil {
		return slog.StringValue(scrub(fmt.Sprint(v)))
	}
	var tree any
	if json.Unmarshal(b, &tree) != nil {
		return slog.StringValue(Mask) // cannot be: it was just encoded
	}
	return slog.AnyValue(redactTree(tree))
}

func redactTree(v any) any {
	switch v := v.(type) {
	case string:
		return scrub(v)
	case []any:
		for i := range v {
			v[i] = redactTree(v[i])
		}
	case map[string]any:
		for name := range v {
			if secretKey(name) {
				v[name] = Mask
			} else {
				v[name] = redactTree(v[name])
			}
		}
	}
	return v
}

// secretKey reports whether a key names a secret. A count of tokens is none, and neither is an idempotency key.
func secretKey(key string) bool {
	k := strings.NewReplacer("-", "", "_", "", ".", "", " ", "").Replace(strings.ToLower(key))
	for _, part := range []string{"password", "passwd", "passphrase", "secret", "apikey", "accesskey", "privatekey", "authorization", "cookie", "credential", "bearer", "signature"} {
		if strings.Contains(k, part) {
			return true
		}
	}
	return strings.HasSuffix(k, "token")
}

// forms are secrets that are known by their form, whatever their key: credentials after a scheme's name, keys of
// providers, JSON web tokens, private keys, and the password in a URL.
var forms = []struct {
	form *regexp.Regexp
	mask string
}{
	{regexp.MustCompile(`(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}`), "$1 " + Mask},
	{regexp.MustCompile(`\b(sk|pk|rk|xox[abp]|gh[pousr])[-_][A-Za-z0-9_-]{12,}`), Mask},
	{regexp.MustCompile(`\bA(?:KI|SI)A[A-Z0-9]{16}\b`), Mask},
	{regexp.MustCompile(`\bAIza[A-Za-z0-9_-]{30,}`), Mask},
	{regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*`), Mask},
	{regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)`), Mask},
	{regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://[^\s:/@]*):[^\s/@]+@`), "$1:" + Mask + "@"},
	{regexp.MustCompile(`(?i)\b((?:api[_-]?key|password|passwd|secret|(?:access|auth|refresh|id|session)?[_-]?token)["']?\s*[=:]\s*["']?)[^\s"'&,;]+`), "${1}" + Mask},
}

// scrub masks in a text what has the form of a secret.
func scrub(s string) string {
	for _, f := range forms {
		s = f.form.ReplaceAllString(s, f.mask)
	}
	return s
}
