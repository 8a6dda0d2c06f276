package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/agentkernel/agentkernel/fault"
	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "write the golden files anew")

// base is a configuration in which every key can be set without touching another.
const base = `
providers:
  local: {type: openai_compatible, base_url: "http://127.0.0.1:1/v1"}
  offline: {type: scripted}
tools:
  - name: pay
    parameters: {type: object, properties: {order: {type: string}}}
    http: {url: "http://127.0.0.1:1/pay"}
    reconcile: {http: {url: "http://127.0.0.1:1/pay/{idempotency_key}"}}
  - name: look
    effect: read_only
    http: {url: "http://127.0.0.1:1/look"}
agents:
  - {name: helper, model: local/m, tools: [look]}
`

// wide is base with one of everything else that has a name, so that its keys can be set as well.
var wide = strings.NewReplacer("tools:\n", `  cloud: {type: bedrock}
models: {local/m: {price: {input: 1}}, local/m.1: {}}
tools:
`, "agents:\n", `  - {name: files, mcp: {command: [serve-files, /srv], each: {read_file: {}, write.file: {}}}}
  - {name: remote, mcp: {url: "http://127.0.0.1:1/mcp"}}
agents:
`, "tools: [look]}", `tools: [look], hooks: {
      before: [{name: guard, http: {url: "http://127.0.0.1:1/guard"}}],
      after: [{name: polish, http: {url: "http://127.0.0.1:1/polish"}}]}}`).Replace(base) + "  - {name: other, model: offline/x}\n"

// keyed and signed are base with the two ways to prove who one is.
var (
	keyed  = base + "auth: {mode: api_key, keys: [{id: first, hash: \"sha256:" + strings.Repeat("a1", 32) + "\"}]}\n"
	signed = base + "auth: {mode: jwt, jwt: {issuer: \"https://login.example.com\", audience: agents}}\n"
)

// loadText loads a file's text with an environment and flags of its own.
func loadText(text string, o Options) (*Config, error) {
	if o.Env == nil {
		o.Env = []string{}
	}
	l := newLoader(o)
	l.file(DefaultFile, []byte(text))
	return l.finish()
}

func mustLoad(t *testing.T, text string, o Options) *Config {
	t.Helper()
	c, err := loadText(text, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// problemsOf are the problems in an error of Load, which must be of kind Config.
func problemsOf(t *testing.T, err error) Problems {
	t.Helper()
	var all Problems
	if fault.KindOf(err) != fault.Config || !errors.As(err, &all) || len(all) == 0 {
		t.Fatalf("error %v is no list of problems of kind config", err)
	}
	for _, p := range all {
		if p.Where == "" || p.What == "" || p.Why == "" || p.Try == "" {
			t.Errorf("problem %+v lacks where, what, why or try", p)
		}
	}
	return all
}

// tree is a YAML text as plain maps and lists.
func tree(t testing.TB, text string) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return v
}

// at is the value at a dotted path of plain maps and lists, and whether there is one.
func at(v any, path string) (any, bool) {
	for _, part := range splitPath(path) {
		switch in := v.(type) {
		case map[string]any:
			next, ok := in[part]
			if !ok {
				return nil, false
			}
			v = next
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i >= len(in) {
				return nil, false
			}
			v = in[i]
		default:
			return nil, false
		}
	}
	return v, true
}

// with is a YAML text in which the value at a path is replaced; the maps on the way are made.
func with(t testing.TB, text, path, value string) string {
	t.Helper()
	root := tree(t, text)
	here, parts := root, splitPath(path)
	for i, part := range parts {
		last := i == len(parts)-1
		switch in := here.(type) {
		case map[string]any:
			if last {
				in[part] = tree(t, value)
			} else if in[part] == nil {
				in[part] = map[string]any{}
			}
			here = in[part]
		case []any:
			n, err := strconv.Atoi(part)
			if err != nil || n >= len(in) {
				t.Fatalf("no element %s on the way to %s", part, path)
			}
			if last {
				in[n] = tree(t, value)
			}
			here = in[n]
		}
	}
	out, err := yaml.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// printed is a configuration as plain maps and lists, as its JSON print shows it.
func printed(t testing.TB, c *Config) any {
	t.Helper()
	var b bytes.Buffer
	if err := c.Print(&b, JSON, false); err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(b.Bytes(), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func jsonOf(t testing.TB, v any) string {
	t.Helper()
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// golden compares bytes with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; run the test with -update and read the change\ngot:\n%s", path, got)
	}
}

// mentions fails unless text holds every part.
func mentions(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("text lacks %q:\n%s", part, text)
		}
	}
}
