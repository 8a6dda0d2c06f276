package config

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// FuzzLoad proves that no input makes the loader panic, that a refusal always says where and why, and that what it
// accepts can be printed and read again.
func FuzzLoad(f *testing.F) {
	for _, path := range []string{"testdata/full.yaml", "../examples/quickstart/config.yaml"} {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text), "AK_API__PORT", "1")
	}
	f.Add(base, "AK_AGENTS__HELPER__MODEL", "offline/x")
	f.Add(base, "AK_TOOLS__2__NAME", "new")
	f.Add(base, "AK_TOOLS", `[{"name":"a","http":{"url":"http://h/{idempotency_key}"}}]`)
	f.Add(wide, `models."local/m.1".price.input`, "0.5")
	f.Add(keyed, "AK_AUTH__KEYS__FIRST__ROLES", "operator")
	f.Add(signed, "AK_AUTH__JWT__ALGORITHMS", "ES256")
	f.Add("a: &a [*a]", "AK_", "")
	f.Add("api: !!binary aGk=\n", "AK____", "{")
	f.Add("? [a]\n: b\n", "AK_PROVIDERS__X__Y", "\xff")
	f.Add("tools: [{parameters: {<<: {a: .nan}, 1: ~}}]", "AK_EXECUTION__LEASE_TTL", "-9223372036854775808ns")
	f.Fuzz(func(t *testing.T, text, name, value string) {
		if len(text) > 1<<14 || strings.ContainsRune(name, '=') {
			return // no variable has such a name, and a long text only costs time
		}
		o := Options{Env: []string{name + "=" + value}}
		if !strings.HasPrefix(name, envPrefix) {
			o.Flags = map[string]string{name: value}
		}
		c, err := loadText(text, o)
		if err != nil {
			problemsOf(t, err)
			_ = err.Error()
			return
		}
		var b bytes.Buffer
		for _, sources := range []bool{false, true} {
			for _, format := range []string{JSON, YAML} {
				b.Reset()
				if err := c.Print(&b, format, sources); err != nil {
					t.Fatalf("print as %s: %v", format, err)
				}
			}
		}
		if strings.Contains(b.String(), Mask) {
			return // a mask is refused when it is read
		}
		again, err := loadText(b.String(), Options{})
		if err != nil {
			t.Fatalf("what was accepted is refused when it is printed: %v\n%s", err, b.String())
		}
		if again.Digest() != c.Digest() {
			t.Fatalf("the digest changes by printing:\n%s", b.String())
		}
	})
}
