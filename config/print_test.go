package config

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
	"testing"
)

func TestPrintsAreAsCommitted(t *testing.T) {
	c := full(t)
	for name, try := range map[string]struct {
		format  string
		sources bool
	}{
		"print.golden.yaml": {YAML, false}, "print_sources.golden.yaml": {YAML, true},
		"print.golden.json": {JSON, false}, "print_sources.golden.json": {JSON, true},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := c.Print(&b, try.format, try.sources); err != nil {
				t.Fatal(err)
			}
			golden(t, name, b.Bytes())
		})
	}
}

func TestPrintRefusesAnUnknownFormatAndReportsItsWriter(t *testing.T) {
	c := mustLoad(t, base, Options{})
	if err := c.Print(&bytes.Buffer{}, "toml", false); err == nil || !strings.Contains(err.Error(), "toml") {
		t.Errorf("error is %v", err)
	}
	for _, format := range []string{YAML, JSON} {
		if err := c.Print(broken{}, format, false); err == nil {
			t.Errorf("%s: a writer's failure is lost", format)
		}
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("full") }

func TestAPrintIsAConfigurationWithTheSameDigest(t *testing.T) {
	c := mustLoad(t, strings.Replace(base, "name: helper", "instructions: \"a\\nb: 'c' # d\\n\\n  e\", description: \"5\", name: helper", 1), Options{})
	for _, sources := range []bool{false, true} {
		var b bytes.Buffer
		if err := c.Print(&b, YAML, sources); err != nil {
			t.Fatal(err)
		}
		again := mustLoad(t, b.String(), Options{})
		if again.Digest() != c.Digest() {
			t.Errorf("the print reads as another configuration:\n%s", b.String())
		}
	}
}

func TestTheDigestChangesWithTheConfigurationAndNotWithSecretsOrSources(t *testing.T) {
	text := base + "  - {name: b, model: openai/x}\n"
	text = strings.Replace(text, "providers:", "providers:\n  openai: {}", 1)
	first := mustLoad(t, text, Options{Env: []string{"OPENAI_API_KEY=one"}}).Digest()
	if !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(first) {
		t.Fatalf("digest is %q", first)
	}
	for name, o := range map[string]Options{
		"other secret": {Env: []string{"OPENAI_API_KEY=two"}}, "no secret": {},
		"same value elsewhere": {Env: []string{"AK_API__PORT=8000"}},
		"secret of a provider": {Env: []string{"AK_PROVIDERS__LOCAL__API_KEY=x"}},
	} {
		if got := mustLoad(t, text, o).Digest(); got != first {
			t.Errorf("%s changes the digest", name)
		}
	}
	own := mustLoad(t, text, Options{Flags: map[string]string{
		"api.port": "1", "api.host": "localhost", "admin.port": "2", "admin.host": "localhost", "execution.zone": "z",
	}, Env: []string{"AK_SESSION__REDIS__URL="}})
	if own.Digest() == first {
		t.Error("the places of a replica do not change its digest")
	}
	if fleet := mustLoad(t, text, Options{}).FleetDigest(); own.FleetDigest() != fleet || fleet == first {
		t.Error("the places of a replica change the fleet's digest")
	}
	reordered := strings.Replace(text, "{type: openai_compatible, base_url: \"http://127.0.0.1:1/v1\"}", "{base_url: \"http://127.0.0.1:1/v1\", type: openai_compatible}", 1)
	if mustLoad(t, reordered, Options{}).Digest() != first {
		t.Error("the order of keys changes the digest")
	}
	seen := map[string]string{first: "nothing"}
	for path, s := range map[string]string{
		"api.port": "1", "agents.0.instructions": "x", "tools.0.timeout": "1s", "tools.0.http.headers.X-A": "1",
	} {
		got := mustLoad(t, text, Options{Flags: map[string]string{path: s}}).Digest()
		if before, same := seen[got]; same {
			t.Errorf("%s and %s have one digest", path, before)
		}
		seen[got] = path
	}
}

func TestAConfigThatWasNotLoadedPrints(t *testing.T) {
	var c Config
	if c.String() == "" || c.Digest() == "" || c.Source("api.port").Kind != FromDefault {
		t.Error("a zero Config does not print")
	}
}
