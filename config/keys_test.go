package config

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// sample says how a key is tried. Values are YAML, as the file would hold them.
type sample struct {
	in   string   // a configuration that lets the key be set alone; empty means wide
	at   string   // a path in it; empty means the key itself
	good string   // a value that it does not have
	env  string   // good as a variable holds it; empty means the same text
	want string   // good as the JSON print shows it; empty means good as JSON
	bad  []string // values that both the schema and Load refuse
	deep []string // values that only Load refuses
	vars []string // values that Load refuses in a variable
}

var (
	number   = []string{`text`, `1.5`, `[1]`, `99999999999999999999`}
	duration = []string{`5`, `5x`, `true`, `{}`}
	seconds  = []string{`0`, `-1`, `5x`, `1.5`, `[]`}
	text     = []string{`5`, `[a]`, `{a: b}`, `null`, `true`}
	missing  = []string{`<file:missing>`}
)

// samples has every key of the configuration. A key without a sample fails the tests below: a new key comes with the
// proof that it can be reached and that it is checked.
var samples = map[string]sample{
	"api.host": {good: `localhost`, bad: text, deep: []string{`"a b"`, `""`, `"[::1]"`, `192.0.2.1`}, vars: []string{"a b", "::", "0.0.0.0"}},
	"api.port": {good: `65535`, bad: append(number, `-1`, `65536`), vars: []string{"-1", "65536", "http", "", "1e3"}},

	"auth.mode":  {good: `none`, bad: append(text, `nome`), vars: []string{"nome", "", "<file:missing>"}},
	"log.level":  {good: `debug`, bad: append(text, `trace`, `""`), vars: []string{"inof", ""}},
	"log.format": {good: `text`, bad: append(text, `xml`), vars: []string{"jsno"}},

	"session.type":          {good: `in_memory`, bad: append(text, `mongodb`, `sqllite`), vars: []string{"mongodb", "", "memory"}},
	"session.ttl":           {good: `3600`, bad: seconds, deep: []string{`99999999999`, `9h9`}, vars: []string{"0", "1 week", "", "9999999999999"}},
	"session.accept_loss":   {good: `true`, bad: []string{`text`, `1`, `null`}, vars: []string{"1", "maybe", ""}},
	"session.cache.size":    {good: `1`, bad: append(number, `0`), vars: []string{"0", "many"}},
	"session.sqlite.path":   {good: `./x.db`, bad: append(text, `""`), vars: []string{"", "<file:missing>"}},
	"session.sqlite.ttl":    {good: `60`, bad: seconds, vars: []string{"0", "x"}},
	"session.in_memory.ttl": {good: `1m30s`, want: `90`, bad: seconds, vars: []string{"-5s", "x"}},

	"execution.lease_ttl":         {good: `10s`, bad: duration, deep: []string{`500ms`, `2h`}, vars: []string{"5", "999ms", ""}},
	"execution.sweep_interval":    {good: `250ms`, bad: duration, deep: []string{`6s`, `0s`}, vars: []string{"6s", "0s", "-1s"}},
	"execution.max_recoveries":    {good: `7`, bad: append(number, `0`), vars: []string{"0", "x"}},
	"execution.max_running_turns": {good: `2`, bad: append(number, `0`), vars: []string{"0", "x"}},
	"execution.idempotency_ttl":   {good: `1h`, bad: duration, deep: []string{`0s`}, vars: []string{"0s", "3600"}},
	"execution.drain.delay":       {good: `0s`, bad: append(duration, `-1s`), vars: []string{"-1s", "5"}},
	"execution.drain.timeout":     {good: `30s`, bad: duration, deep: []string{`0s`}, vars: []string{"0s", "x"}},

	"providers.*.type":     {at: "providers.local.type", good: `openai`, bad: append(text, `opneai`, `""`), vars: []string{"opneai", ""}},
	"providers.*.api_key":  {at: "providers.local.api_key", good: `k-1`, want: `"***"`, bad: text, deep: []string{`"***"`, `"a\nb"`}, vars: missing},
	"providers.*.base_url": {at: "providers.local.base_url", good: `https://example.com/v1`, bad: append(text, `example.com`, `ftp://h`), deep: []string{`"http://"`, `"http://h:0"`, `"http://h:x"`}, vars: []string{"example.com", "http://a b/"}},
	"providers.*.script":   {at: "providers.offline.script", good: `./script.yaml`, bad: text, vars: missing},

	"egress.allow": {good: `[api.example.com, "*.example.org", 10.0.0.0/8, "h:1", "::1", "[::1]:443"]`, env: `api.example.com,*.example.org, 10.0.0.0/8,h:1,::1,[::1]:443`, bad: []string{`text`, `[5]`, `{}`}, deep: []string{`["http://h"]`, `["*"]`, `["h:0"]`, `[""]`}, vars: []string{"http://h", "[", "h:99999"}},

	"tools.*.name":                     {at: "tools.0.name", good: `charge`, bad: append(text, `"a b"`, `""`), vars: []string{"a b", ""}},
	"tools.*.description":              {at: "tools.0.description", good: `Pay`, bad: text, vars: missing},
	"tools.*.effect":                   {at: "tools.1.effect", good: `idempotent`, bad: append(text, `readonly`, `""`), vars: []string{"readonly", ""}},
	"tools.*.refuses":                  {at: "tools.0.refuses", good: `duplicate_key`, bad: append(text, `duplicates`), vars: []string{"stale_epochs"}},
	"tools.*.timeout":                  {at: "tools.0.timeout", good: `20s`, bad: duration, deep: []string{`0s`, `25h`}, vars: []string{"0s", "20"}},
	"tools.*.on_doubt":                 {at: "tools.0.on_doubt", good: `tell`, bad: append(text, `asks`), vars: []string{"asks"}},
	"tools.*.max_result":               {at: "tools.0.max_result", good: `1024`, bad: append(number, `0`), vars: []string{"0", "1k"}},
	"tools.*.parameters":               {at: "tools.0.parameters", good: `{type: object, properties: {n: {type: number}}}`, env: `{"type":"object","properties":{"n":{"type":"number"}}}`, bad: []string{`text`, `[]`, `null`}, deep: []string{`{type: array}`, `{type: objet}`, `{type: object, properties: {idempotency_key: {}}}`, `{$ref: "file:///x"}`, `{type: object, description: "<file:x>"}`}, vars: []string{"{", "{}", `{"type":"object"} x`, ""}},
	"tools.*.http.method":              {at: "tools.0.http.method", good: `PUT`, bad: append(text, `post`, `""`), vars: []string{"TRACE"}},
	"tools.*.http.url":                 {at: "tools.0.http.url", good: `https://example.com/{order}?k={idempotency_key}`, bad: append(text, `/pay`, `""`), deep: []string{`"http://{order}/"`, `"http://h/{ordr}"`, `"http://h/{"`, `"http://h/#f"`}, vars: []string{"/pay", "http://h/{x}", "http://h{order}/", ""}},
	"tools.*.http.headers.*":           {at: "tools.0.http.headers.X-Extra", good: `v`, want: `"***"`, bad: text, deep: []string{`"a\nb"`}, vars: []string{"a\nb", "<file:missing>"}},
	"tools.*.reconcile.http.method":    {at: "tools.0.reconcile.http.method", good: `POST`, bad: append(text, `get`), vars: []string{"get"}},
	"tools.*.reconcile.http.url":       {at: "tools.0.reconcile.http.url", good: `http://h/{idempotency_key}`, bad: append(text, `x`), deep: []string{`"http://h/{key}"`}, vars: []string{"x", "http://h/{key}"}},
	"tools.*.reconcile.http.headers.*": {at: "tools.0.reconcile.http.headers.X-Extra", good: `v`, want: `"***"`, bad: text, deep: []string{`"a\u0001"`}, vars: []string{"a\x01"}},

	"agents.*.name":              {at: "agents.0.name", good: `third`, bad: append(text, `"a b"`), vars: []string{"a/b", ""}},
	"agents.*.description":       {at: "agents.0.description", good: `Helps`, bad: text, vars: missing},
	"agents.*.instructions":      {at: "agents.0.instructions", good: `Be kind.`, bad: text, vars: missing},
	"agents.*.model":             {at: "agents.0.model", good: `offline/demo/x`, bad: append(text, `demo`, `local/`), deep: []string{`lcoal/m`}, vars: []string{"demo", "none/m", ""}},
	"agents.*.tools":             {at: "agents.0.tools", good: `[pay]`, env: `pay`, bad: []string{`pay`, `[5]`, `{}`}, deep: []string{`[paid]`, `[pay, pay]`}, vars: []string{"paid", "pay,pay", `["pay"`}},
	"agents.*.busy":              {at: "agents.0.busy", good: `steer`, bad: append(text, `stear`, `que`), vars: []string{"stear", "que"}},
	"agents.*.max_queue":         {at: "agents.0.max_queue", good: `1`, bad: append(number, `0`), vars: []string{"0", "x"}},
	"agents.*.limits.steps":      {at: "agents.0.limits.steps", good: `5`, bad: append(number, `0`), vars: []string{"0", "x"}},
	"agents.*.limits.wall":       {at: "agents.0.limits.wall", good: `1m`, bad: duration, deep: []string{`0s`}, vars: []string{"0s", "60"}},
	"agents.*.limits.max_tokens": {at: "agents.0.limits.max_tokens", good: `1000`, bad: append(number, `-1`), vars: []string{"-1", "x"}},
}

// allKeys finds every key by reflection, with * for ids and numbers.
func allKeys(t reflect.Type, path string) []string {
	switch {
	case t.Kind() == reflect.Pointer:
		return allKeys(t.Elem(), path)
	case t.Kind() == reflect.Map, t.Kind() == reflect.Slice && isObject(t.Elem()):
		return allKeys(t.Elem(), path+".*")
	case !isObject(t):
		return []string{path}
	}
	var out []string
	for _, f := range fieldsOf(t) {
		out = append(out, allKeys(f.typ, join(path, f.name))...)
	}
	return out
}

func init() { maps.Copy(samples, newerSamples) }

func eachKey(t *testing.T, do func(t *testing.T, path string, s sample)) {
	t.Helper()
	keys := allKeys(reflect.TypeFor[Config](), "")
	for key := range samples {
		if !slices.Contains(keys, key) {
			t.Errorf("there is a sample for %s, which is no key", key)
		}
	}
	for _, key := range keys {
		t.Run(key, func(t *testing.T) {
			s, ok := samples[key]
			if !ok || s.good == "" || len(s.bad) == 0 || len(s.vars) == 0 {
				t.Fatalf("the key %s needs a sample with a good value and bad ones", key)
			}
			if s.at == "" {
				s.at = key
			}
			if s.in == "" {
				s.in = wide
			}
			do(t, s.at, s)
		})
	}
}

func TestEveryKeyIsDescribed(t *testing.T) {
	var walk func(t2 reflect.Type, path string)
	walk = func(t2 reflect.Type, path string) {
		switch {
		case t2 == rawType || isScalar(t2):
		case t2.Kind() == reflect.Pointer, t2.Kind() == reflect.Map, t2.Kind() == reflect.Slice:
			walk(t2.Elem(), path)
		case isObject(t2):
			for _, f := range fieldsOf(t2) {
				if f.name == "" || f.doc == "" || !strings.HasSuffix(f.doc, ".") {
					t.Errorf("key %s needs a name and a description in sentences", join(path, f.name))
				}
				walk(f.typ, join(path, f.name))
			}
		}
	}
	walk(reflect.TypeFor[Config](), "")
}

func TestEveryKeyIsReachedFromFileEnvironmentAndFlag(t *testing.T) {
	eachKey(t, func(t *testing.T, path string, s sample) {
		want := s.want
		if want == "" {
			want = jsonOf(t, tree(t, s.good))
		}
		env := s.env
		if env == "" {
			env = s.good
		}
		name := VariableFor(path)
		for source, c := range map[string]*Config{
			DefaultFile:    mustLoad(t, with(t, s.in, path, s.good), Options{}),
			"env " + name:  mustLoad(t, s.in, Options{Env: []string{name + "=" + env}}),
			"flag " + path: mustLoad(t, s.in, Options{Flags: map[string]string{path: env}}),
		} {
			got, ok := at(printed(t, c), path)
			if !ok || jsonOf(t, got) != want {
				t.Errorf("from %s: value %v, want %s", source, got, want)
			}
			if from := c.Source(path).String(); !strings.HasPrefix(from, source) {
				t.Errorf("source %q, want %q", from, source)
			}
		}
	})
}

func TestBadInputForEveryKeyIsRefusedAtItsPlace(t *testing.T) {
	check := compiledSchema(t)
	eachKey(t, func(t *testing.T, path string, s sample) {
		for i, bad := range slices.Concat(s.bad, s.deep) {
			file := with(t, s.in, path, bad)
			_, err := loadText(file, Options{})
			if err == nil {
				t.Errorf("file value %s is accepted", bad)
				continue
			}
			expectAt(t, problemsOf(t, err), DefaultFile+":", path)
			if i < len(s.bad) && check(file) == nil {
				t.Errorf("the schema accepts %s", bad)
			}
		}
		for _, bad := range s.vars {
			name := VariableFor(path)
			_, err := loadText(s.in, Options{Env: []string{name + "=" + bad}})
			if err == nil {
				t.Errorf("variable value %q is accepted", bad)
				continue
			}
			expectAt(t, problemsOf(t, err), "env "+name, path)
		}
	})
}

// expectAt fails unless there is a problem at that place that names the key.
func expectAt(t *testing.T, all Problems, where, key string) {
	t.Helper()
	for _, p := range all {
		if strings.HasPrefix(p.Where, where) && strings.HasPrefix(p.Key, key) && strings.Contains(p.What, key) {
			return
		}
	}
	t.Errorf("no problem at %s about %s in\n%v", where, key, all)
}
