package config

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// canary begins every value that is put where a secret belongs. No message may hold it.
const canary = "canary-7d1e"

// place is where a key can be set, found by walking the types: no list of keys has to be kept.
type place struct {
	key    string // with * for ids and numbers
	text   string // a configuration that lets it be set
	path   string
	secret bool
}

func everyPlace(t testing.TB) []place {
	var all []place
	for _, key := range allKeys(reflect.TypeFor[Config](), "") {
		s, ok := samples[key]
		if !ok {
			t.Fatalf("the key %s has no sample", key)
		}
		p := place{key: key, text: s.in, path: s.at, secret: s.want == `"***"` || strings.HasSuffix(key, ".hash")}
		if p.text == "" {
			p.text = wide
		}
		if p.path == "" {
			p.path = key
		}
		all = append(all, p)
	}
	return all
}

// FuzzEveryKey proves for every key there is, from the file and from a variable: no value makes the loader panic, a
// refusal names the key and says what to try, no message shows a secret, and what is accepted prints and reads as
// itself. Each run tries some of the odd values at each key; fuzzing mixes all of them and adds its own.
func FuzzEveryKey(f *testing.F) {
	places := everyPlace(f)
	for _, value := range odd {
		f.Add(uint16(len(value)*7), value)
	}
	for i := range places {
		for n := range 6 { // all of them at all keys would take minutes
			f.Add(uint16(i), odd[(i*6+n)%len(odd)])
		}
	}
	f.Fuzz(func(t *testing.T, which uint16, value string) {
		if len(value) > 1<<12 {
			return // a long text only costs time
		}
		p := places[int(which)%len(places)]
		var v any
		if err := yaml.Unmarshal([]byte(value), &v); err != nil {
			v = value
		}
		if p.secret {
			value = canary + value
			if text, ok := v.(string); ok {
				v = canary + text
			}
		}
		if text, err := set(t, p.text, p.path, v); err == nil {
			c, err := loadText(text, Options{})
			judge(t, p, c, err, text)
		}
		c, err := loadText(p.text, Options{Env: []string{VariableFor(p.path) + "=" + value}})
		judge(t, p, c, err, VariableFor(p.path)+"="+value)
		c, err = loadText(p.text, Options{Flags: map[string]string{p.path: value}})
		judge(t, p, c, err, p.path+"="+value)
	})
}

var odd = []string{
	"", " ", "null", "~", "true", "0", "-1", "1", "1.5", "1e400", ".nan", "-.inf", "99999999999999999999", "0x10", "5s",
	"-5s", "9999999h", "text", "a,b", "a,,", ",", "[]", "[null]", "[[]]", "[1]", "[a, a]", "{}", "{a: b}", "{a: {b: c}}",
	`{"type":"object"}`, `{"type":"array"}`, `{"type":"object","$ref":"#/x"}`, `{"a":`, `["a"`, `[{}]`, "http://", "http://h/{x}",
	"http://u:p@h:0/", "ftp://h", "https://h/?key=v#f", "127.0.0.1", "0.0.0.0", "::", "a b", "a\nb", "a\tb", "\x00", "\xff",
	"é", "***", "<file:x>", "<file:../x>", "*x", "&x y", "!!binary aGk=", "2024-01-01", "sha256:", "..", "a.b", `"a.b"`,
	"none", "HS256", "RS256", "api_key", "jwt", "always", "read_only", "at_most_once", "scripted", "bedrock", "helper", "other",
}

// set is a YAML text in which the value at a path is replaced.
func set(t testing.TB, text, path string, v any) (out string, err error) {
	t.Helper()
	written, err := yaml.Marshal(v)
	if err != nil {
		return "", err
	}
	return with(t, text, path, string(written)), nil
}

// judge fails unless the outcome of a load is a good one.
func judge(t *testing.T, p place, c *Config, err error, input string) {
	t.Helper()
	if err == nil {
		accepted(t, p, c, input)
		return
	}
	all := problemsOf(t, err)
	text := err.Error()
	if p.secret && strings.Contains(text, canary) {
		t.Errorf("%q: a secret is quoted: %s", input, text)
	}
	parts := splitPath(p.path)
	last := parts[len(parts)-1]
	around := strings.TrimSuffix(strings.TrimSuffix(p.path, last), ".")
	names := slices.ContainsFunc(all, func(one Problem) bool {
		said := one.String()
		return strings.Contains(said, p.path) || strings.Contains(said, VariableFor(p.path)) ||
			around != "" && strings.Contains(said, around) && strings.Contains(said, last) ||
			strings.Contains(said, p.key)
	})
	if !names {
		t.Errorf("%q: no problem names %s: %s", input, p.path, text)
	}
}

// accepted fails unless a configuration prints, and the print is the same configuration.
func accepted(t *testing.T, p place, c *Config, input string) {
	t.Helper()
	var b bytes.Buffer
	for _, sources := range []bool{true, false} {
		for _, format := range []string{JSON, YAML} {
			b.Reset()
			if err := c.Print(&b, format, sources); err != nil {
				t.Fatalf("%q: print as %s: %v", input, format, err)
			}
			if p.secret && strings.Contains(b.String(), canary) {
				t.Errorf("%q: a print shows a secret:\n%s", input, b.String())
			}
		}
	}
	if strings.Contains(b.String(), Mask) || strings.Contains(b.String(), "<file:") {
		return // a mask is refused when it is read, and the file may be gone
	}
	again, err := loadText(b.String(), Options{})
	if err != nil {
		t.Fatalf("%q: what was accepted is refused when it is printed: %v\n%s", input, err, b.String())
	}
	if again.Digest() != c.Digest() {
		t.Fatalf("%q: the digest changes by printing:\n%s", input, b.String())
	}
}
