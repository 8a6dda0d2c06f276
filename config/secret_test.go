package config

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// canaries are the secrets of testdata/full.yaml and of the variables below.
var canaries = []string{"canary-file-7c1f", "canary-pass-93ab", "canary-url-55d0", "canary-env-2e8c", "canary-flag-11fa"}

func full(t *testing.T) *Config {
	t.Helper()
	text, err := os.ReadFile("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return mustLoad(t, string(text), Options{
		Env:   []string{"AK_SECRETS_PATH=testdata/secrets", "OPENAI_API_KEY=canary-env-2e8c"},
		Flags: map[string]string{"tools.charge_card.reconcile.http.headers.X-Key": "canary-flag-11fa"},
	})
}

func noCanary(t *testing.T, form, text string) {
	t.Helper()
	for _, c := range canaries {
		if strings.Contains(text, c) {
			i := strings.Index(text, c)
			t.Errorf("%s shows the secret %s: …%s…", form, c, text[max(0, i-60):i+len(c)])
		}
	}
}

func TestSecretsAreReadAndRevealedOnDemand(t *testing.T) {
	c := full(t)
	for want, got := range map[string]string{
		"canary-file-7c1f":        c.Providers["local"].APIKey.Reveal(),
		"Bearer canary-file-7c1f": c.Tools[0].HTTP.Headers["Authorization"].Reveal(),
		"canary-env-2e8c":         c.Providers["openai"].APIKey.Reveal(),
		"canary-flag-11fa":        c.Tools[0].Reconcile.HTTP.Headers["X-Key"].Reveal(),
		"Be kind.\nThe house's motto is canary-file-7c1f.\n": c.Agents[0].Instructions,
		"http://user:canary-pass-93ab@127.0.0.1:11434/v1":    c.Providers["local"].BaseURL.Reveal(),
	} {
		if got != want {
			t.Errorf("revealed %q, want %q", got, want)
		}
	}
	if got := c.Source("providers.local.api_key").String(); got != "config.yaml:13, secret token" {
		t.Errorf("source is %s", got)
	}
}

func TestNoFormOfPrintingShowsASecret(t *testing.T) {
	c := full(t)
	type holder struct {
		hidden Config
		Shown  *Config
		entry  Provider
	}
	// Where fmt does not ask a type's methods, Secret and URL must still hold; text in plain strings is shown there, so
	// the agent with such text is left out.
	noSecretText := *c
	noSecretText.Agents = nil
	for name, v := range map[string]any{
		"config": c, "value": *c, "slice": []Config{*c}, "map": map[string]*Config{"a": c},
		"holder": holder{hidden: noSecretText, Shown: c, entry: c.Providers["local"]},
		"secret": c.Providers["local"].APIKey, "url": c.Tools[0].Reconcile.HTTP.URL, "providers": c.Providers,
		"tools": c.Tools, "reconcile": c.Tools[0].Reconcile, "pointer": &c.Tools[0],
	} {
		for _, verb := range strings.Fields("%v %+v %#v %s %q %x %X %d %t %T %o %e %10s %-5v %c %U %b") {
			noCanary(t, name+" with "+verb, fmt.Sprintf(verb, v))
		}
		noCanary(t, name+" with Sprint", fmt.Sprint(v)+fmt.Sprintln(v))
		if out, err := json.Marshal(v); err == nil {
			noCanary(t, name+" as JSON", string(out))
		}
		if out, err := yaml.Marshal(v); err == nil {
			noCanary(t, name+" as YAML", string(out))
		}
		if out, err := xml.Marshal(v); err == nil {
			noCanary(t, name+" as XML", string(out))
		}
		var b bytes.Buffer
		slog.New(slog.NewTextHandler(&b, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "v", v, slog.Group("g", "v", v))
		noCanary(t, name+" in the log", b.String())
	}
	for _, v := range []any{noSecretText, &noSecretText, c.Providers, c.Tools[0], c.Tools} {
		for _, verb := range []string{"%p", "%w"} { // misused
			noCanary(t, "parts with "+verb, fmt.Sprintf(verb, v))
		}
	}
	for _, format := range []string{YAML, JSON} {
		for _, sources := range []bool{false, true} {
			var b bytes.Buffer
			if err := c.Print(&b, format, sources); err != nil {
				t.Fatal(err)
			}
			noCanary(t, "print as "+format, b.String())
		}
	}
	noCanary(t, "schema", string(Schema()))
	noCanary(t, "sources", fmt.Sprintf("%+v", c.Sources()))
}

func TestNoProblemShowsASecret(t *testing.T) {
	secrets := Options{Env: []string{"AK_SECRETS_PATH=testdata/secrets"}}
	for name, try := range map[string]struct {
		text string
		o    Options
	}{
		"url":               {"providers: {l: {type: openai_compatible, base_url: \"ftp://u:canary-file-7c1f@h\"}}", Options{}},
		"url, no URL":       {"providers: {l: {type: openai_compatible, base_url: \"<file:token>\"}}", secrets},
		"key as list":       {"providers: {l: {type: scripted, api_key: [canary-file-7c1f]}}", Options{}},
		"key of a script":   {"providers: {l: {type: scripted, api_key: canary-file-7c1f}}", Options{}},
		"key with a break":  {"providers: {openai: {api_key: \"canary-file-7c1f\\nx\"}}", Options{}},
		"header":            {"tools: [{name: a, http: {url: \"http://h\", headers: {A: \"canary-file-7c1f\\n\"}}}]", Options{}},
		"host":              {"api: {host: \"a <file:token>\"}", secrets},
		"egress":            {"egress: {allow: [\"<file:token>/\"]}", secrets},
		"plain text for it": {"providers: canary-file-7c1f", Options{}},
		"anchor":            {"providers: {openai: {api_key: *canary-file-7c1f}}", Options{}},
		"broken JSON":       {"", Options{Env: []string{`AK_PROVIDERS={"openai":{"api_key":"canary-env-2e8c"`}}},
		"wrong variable":    {"", Options{Env: []string{"AK_PROVIDERS__OPENAI__API_KYE=canary-env-2e8c"}}},
		"openai URL":        {"providers: {openai: {}}", Options{Env: []string{"OPENAI_BASE_URL=x://u:canary-env-2e8c@h"}}},
		"flag":              {"", Options{Flags: map[string]string{"api.port": "1", "providers.x.api_kee": "canary-flag-11fa"}}},
		"parameters":        {"tools: [{name: a, parameters: {default: \"<file:token>\"}, http: {url: \"http://h\"}}]", secrets},
		"name":              {"agents: [{name: \"<file:token>\", model: a/b}]", secrets},
		"choice with it":    {"providers: {openai: {api_key: canary-file-7c1f}}\nlog: {level: canary-file-7c1f}", Options{}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := loadText(try.text, try.o)
			problemsOf(t, err)
			noCanary(t, "problem", fmt.Sprintf("%v %+v %#v", err, err, err))
		})
	}
}

func TestSecretFilesThatCannotBeReadSayWhy(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "empty", "\n")
	write(t, dir, "big", strings.Repeat("x", maxSecret+1))
	write(t, dir, "bytes", "a\xffb")
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/hostname", filepath.Join(dir, "outside")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"none": "no such file", "empty": "is empty", "big": "larger than", "folder": "no regular file", "bytes": "no UTF-8",
		"../x": "no folders", "..": "no folders", "a/b": "no folders", "": "no folders", "outside": "cannot be read",
	} {
		_, err := loadText("providers: {openai: {api_key: \"<file:"+name+">\"}}", Options{Env: []string{EnvSecrets + "=" + dir}})
		mentions(t, problemsOf(t, err).Error(), "providers.openai.api_key", want)
	}
	_, err := loadText("providers: {openai: {api_key: <file:x>}}", Options{})
	mentions(t, problemsOf(t, err).Error(), "AK_SECRETS_PATH is not set")
	_, err = loadText("providers: {openai: {api_key: <file:x>}}", Options{Env: []string{EnvSecrets + "=" + dir + "/none"}})
	mentions(t, problemsOf(t, err).Error(), "AK_SECRETS_PATH, cannot be opened")
}

func TestSecretFilesOfAClusterAreLinks(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "..2024"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "..2024"), "key", "value\n")
	for link, to := range map[string]string{"..data": "..2024", "key": "..data/key"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	c := mustLoad(t, "providers: {openai: {api_key: <file:key>}}", Options{Env: []string{EnvSecrets + "=" + dir}})
	if c.Providers["openai"].APIKey.Reveal() != "value" {
		t.Error("a secret behind links is not read")
	}
}

func TestURLsPrintWithoutWhatIsSecretInThem(t *testing.T) {
	for in, want := range map[string]string{
		"http://h/p?q=1":                         "http://h/p?q=1",
		"https://u:pw@h:1/p":                     "https://***@h:1/p",
		"https://token@h/p":                      "https://***@h/p",
		"https://u:p@w@h/p":                      "https://***@h/p",
		"u:pw@h":                                 "***@h",
		"http://h/?api_key=1&a=2&X-Sig=3&Token=": "http://h/?api_key=***&a=2&X-Sig=***&Token=",
		"http://h/{a}?key={idempotency_key}":     "http://h/{a}?key={idempotency_key}",
		"http://h/a@b":                           "http://h/a@b",
		"http://h/?k%65y=1":                      "http://h/?k%65y=***",
		"":                                       "",
	} {
		if got := NewURL(in).String(); got != want {
			t.Errorf("%s prints as %s, want %s", in, got, want)
		}
		if got := NewURL(in).Reveal(); got != in {
			t.Errorf("%s reveals %s", in, got)
		}
	}
}

func TestAnEmptySecretPrintsAsNothing(t *testing.T) {
	s := NewSecret("")
	if !s.IsZero() || s.String() != "" || s.Reveal() != "" || fmt.Sprintf("%#v", s) != "config.Secret()" {
		t.Errorf("an empty secret is %v", s)
	}
}
