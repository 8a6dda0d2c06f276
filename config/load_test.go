package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestWithoutAnyFileTheDefaultsHoldAndOnlyAnAgentIsMissing(t *testing.T) {
	c, err := Load(Options{Dir: t.TempDir(), Env: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	if c.Address() != "127.0.0.1:8000" || c.Session.Type != SQLite || c.SessionTTL() != 7*24*time.Hour || c.File() != "" {
		t.Errorf("defaults are %s", c)
	}
	problems := problemsOf(t, c.CheckServe())
	mentions(t, problems.Error(), "no agent", "Try:", "scripted", DefaultFile)
}

func TestLaterSourcesWin(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, DefaultFile, "api: {port: 1}\nsession: {cache: {size: 11}}\nlog: {level: warn}\n")
	write(t, dir, "other.yaml", "api: {port: 2}\n")
	const env = "AK_API__PORT=3"
	override := EnvFile + "=other.yaml"
	for name, try := range map[string]struct {
		o      Options
		port   int
		source string
	}{
		"file in the folder":          {Options{Env: []string{}}, 1, "config.yaml:1"},
		"file the variable names":     {Options{Env: []string{override}}, 2, "other.yaml:1"},
		"path over the variable":      {Options{Path: DefaultFile, Env: []string{override}}, 1, "config.yaml:1"},
		"variable over the file":      {Options{Env: []string{env}}, 3, "env AK_API__PORT"},
		"flag over the variable":      {Options{Env: []string{env}, Flags: map[string]string{"api.port": "4"}}, 4, "flag api.port"},
		"part over its whole":         {Options{Env: []string{"AK_API={\"port\": 5}", "AK_API__PORT=6"}}, 6, "env AK_API__PORT"},
		"object as JSON":              {Options{Env: []string{"AK_API={\"port\": 5}"}}, 5, "env AK_API"},
		"several flags for one value": {Options{Env: []string{}, Flags: map[string]string{"api": `{"port":7}`, "api.port": "8"}}, 8, "flag api.port"},
	} {
		t.Run(name, func(t *testing.T) {
			try.o.Dir = dir
			c, err := Load(try.o)
			if err != nil {
				t.Fatal(err)
			}
			if c.API.Port != try.port || c.Source("api.port").String() != try.source {
				t.Errorf("port %d from %s, want %d from %s", c.API.Port, c.Source("api.port"), try.port, try.source)
			}
			if got := c.Source("api.host").String(); got != FromDefault {
				t.Errorf("the host, which nothing sets, comes from %s", got)
			}
		})
	}
}

func write(t testing.TB, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestVariablesReachIntoListsByNumberAndName(t *testing.T) {
	c := mustLoad(t, base, Options{Env: []string{
		"AK_TOOLS__1__TIMEOUT=3s", "AK_TOOLS__PAY__TIMEOUT=4s", "AK_AGENTS__HELPER__LIMITS__STEPS=2",
		"AK_AGENTS__1__NAME=second", "AK_AGENTS__1__MODEL=local/x", "AK_PROVIDERS__NEW_ONE__TYPE=scripted",
		"AK_TOOLS__PAY__HTTP__HEADERS__X_API_KEY=k",
	}})
	if c.Tools[0].Timeout != 4*time.Second || c.Tools[1].Timeout != 3*time.Second || c.Agents[0].Limits.Steps != 2 {
		t.Errorf("variables did not reach the lists: %s", c)
	}
	if len(c.Agents) != 2 || c.Agents[1].Name != "second" || c.Agents[1].Limits.Steps != 24 {
		t.Errorf("a new agent was not added with its defaults: %s", c)
	}
	if c.Providers["new_one"].Type != Scripted || c.Tools[0].HTTP.Headers["X-Api-Key"].Reveal() != "k" {
		t.Errorf("new entries of maps are missing: %s", c)
	}
	if c.Source("agents.0.name").Kind != FromFile || c.Source("agents.0.limits.wall").Kind != FromDefault {
		t.Error("a variable changed the source of its neighbours")
	}
}

func TestVariablesMatchNamesThatTheyCannotSpell(t *testing.T) {
	text := strings.ReplaceAll(base, "local", "my-local")
	c := mustLoad(t, text, Options{Env: []string{"AK_PROVIDERS__MY_LOCAL__API_KEY=k"}})
	if c.Providers["my-local"].APIKey.Reveal() != "k" || len(c.Providers) != 2 {
		t.Errorf("the variable made a provider of its own: %s", c)
	}
	text += "\n"
	twice := strings.Replace(text, "providers:", "providers:\n  my_local: {type: scripted}\n  my--local: {type: scripted}", 1)
	_, err := loadText(twice, Options{Env: []string{"AK_PROVIDERS__MY__LOCAL__TYPE=scripted", "AK_PROVIDERS__My-Local__SCRIPT=x"}})
	mentions(t, problemsOf(t, err).Error(), "AK_PROVIDERS__MY__LOCAL__TYPE")
}

func TestAListInALaterSourceReplacesTheListBelow(t *testing.T) {
	c := mustLoad(t, base, Options{Env: []string{`AK_AGENTS=[{"name":"only","model":"offline/d"}]`}})
	if len(c.Agents) != 1 || c.Agents[0].Name != "only" || len(c.Agents[0].Tools) != 0 {
		t.Errorf("agents are %v", c.Agents)
	}
	if got := c.Source("agents.0.name").String(); got != "env AK_AGENTS" {
		t.Errorf("source is %s", got)
	}
	if _, ok := c.Sources()["agents.0.tools.0"]; ok {
		t.Error("the source of a value that is gone is still known")
	}
}

func TestUnknownKeysNameTheNearestAndTheirPlace(t *testing.T) {
	for name, try := range map[string]struct {
		file string
		o    Options
		want []string
	}{
		"in the file":         {"api:\n  host: 127.0.0.1\n  prot: 80\n", Options{}, []string{"config.yaml:3", "api.prot", "api.port"}},
		"section":             {"sesion: {}\n", Options{}, []string{"config.yaml:1", "sesion", "nearest is session"}},
		"in a list":           {base + "  - {name: x, model: local/m, tool: [pay]}\n", Options{}, []string{"config.yaml:15", "agents.1.tool", "agents.1.tools"}},
		"in the wrong place":  {"base_url: x\n", Options{}, []string{"config.yaml:1", "providers.ID.base_url"}},
		"like nothing":        {"xylophone_concerto: 1\n", Options{}, []string{"config.yaml:1", "known here: api, admin, auth"}},
		"of a store":          {"session: {redis: {uri: x}}\n", Options{}, []string{"config.yaml:1", "session.redis.uri", "session.redis.url"}},
		"merge key":           {"api:\n  <<: {port: 1}\n", Options{}, []string{"config.yaml:2", "merge keys"}},
		"in a variable":       {"", Options{Env: []string{"AK_API__PROT=1"}}, []string{"env AK_API__PROT", "AK_API__PORT"}},
		"section of variable": {"", Options{Env: []string{"AK_SESSON__SQLITE__PATH=1"}}, []string{"env AK_SESSON", "Try: AK_SESSION__SQLITE__PATH"}},
		"store of a variable": {"", Options{Env: []string{"AK_SESSION__REDIS__URI=x"}}, []string{"AK_SESSION__REDIS__URI", "Try: AK_SESSION__REDIS__URL"}},
		"too deep a variable": {"", Options{Env: []string{"AK_API__PORT__X=1"}}, []string{"AK_API__PORT__X", "Try: AK_API__PORT"}},
		"no such element":     {base, Options{Env: []string{"AK_TOOLS__7__NAME=x"}}, []string{"AK_TOOLS__7__NAME", "2 elements"}},
		"misspelt element":    {base, Options{Env: []string{"AK_AGENTS__HELPR__BUSY=x"}}, []string{"AK_AGENTS__HELPR__BUSY", "AK_AGENTS__HELPER__BUSY"}},
		"in a flag":           {"", Options{Flags: map[string]string{"api.hots": "x"}}, []string{"flag api.hots", "Try: api.host"}},
		"in a JSON variable":  {"", Options{Env: []string{`AK_API={"prot":1}`}}, []string{"env AK_API", "api.prot", "api.port"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := loadText(try.file, try.o)
			mentions(t, problemsOf(t, err).Error(), try.want...)
		})
	}
}

func TestOtherUnknownVariablesWarn(t *testing.T) {
	c := mustLoad(t, "", Options{
		Env: []string{
			"AK_PORT=tcp://10.0.0.1:80", "AK_API_PORT=1", "AK_SECRETS_PATH=x", "AK_MINE=1", "NOT_AK__X=1",
		},
		KnownEnv: []string{"AK_MINE"},
	})
	got := c.Warnings()
	if len(got) != 2 || !strings.Contains(got[0], "AK_API_PORT") || !strings.Contains(got[0], "AK_API__PORT") {
		t.Errorf("warnings: %q", got)
	}
	if c.API.Port != 8000 {
		t.Error("a variable with one underscore had an effect")
	}
}

func TestAllProblemsAreReportedAtOnceInTheOrderOfTheFile(t *testing.T) {
	_, err := loadText("api: {port: x}\nlog: {level: inof}\nsession:\n  ttl: -5\n  typ: sqlite\n",
		Options{Env: []string{"AK_LOG__FORMAT=xml"}, Flags: map[string]string{"execution.lease_ttl": "1ms"}})
	var where []string
	for _, p := range problemsOf(t, err) {
		where = append(where, p.Where)
	}
	want := []string{"config.yaml:1", "config.yaml:2", "config.yaml:4", "config.yaml:5", "env AK_LOG__FORMAT", "flag execution.lease_ttl"}
	slices.Sort(where[4:])
	if !slices.Equal(slices.Compact(where), want) {
		t.Errorf("problems at %q, want %q\n%v", where, want, err)
	}
}

func TestFilesThatCannotBeReadSayWhy(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "bad.yaml", "api: [\n")
	write(t, dir, "two.yaml", "api: {}\n---\napi: {}\n")
	write(t, dir, "anchor.yaml", "api: {host: *canary-anchor}\n")
	write(t, dir, "list.yaml", "- api\n")
	write(t, dir, "big.yaml", strings.Repeat("#\n", maxFile))
	write(t, dir, "twice.yaml", "api: {port: 1,\n  port: 2}\n")
	for name, want := range map[string][]string{
		"none.yaml":   {"none.yaml", "no such file"},
		"bad.yaml":    {"bad.yaml:", "no valid YAML"},
		"two.yaml":    {"two.yaml:2", "second document"},
		"anchor.yaml": {"anchor.yaml", "quotes"},
		"list.yaml":   {"list.yaml:1", "is not an object", "a list"},
		"big.yaml":    {"big.yaml", "too large"},
		"twice.yaml":  {"twice.yaml:2", "given twice", "line 1"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(Options{Path: name, Dir: dir, Env: []string{}})
			mentions(t, problemsOf(t, err).Error(), want...)
		})
	}
	_, err := Load(Options{Dir: dir, Env: []string{EnvFile + "=gone.yaml"}})
	mentions(t, problemsOf(t, err).Error(), "env "+EnvFile, "gone.yaml")
}

func TestAliasesThatMultiplyAreStopped(t *testing.T) {
	var b strings.Builder
	b.WriteString("tools: [{name: x, http: {url: \"http://h/\"}, parameters: {a0: &a0 [1,1,1,1,1,1,1,1,1]")
	for i := range 12 {
		fmt.Fprintf(&b, ", a%d: &a%d [%s*a%d]", i+1, i+1, strings.Repeat(fmt.Sprintf("*a%d, ", i), 8), i)
	}
	b.WriteString("}}]\n")
	_, err := loadText(b.String(), Options{})
	mentions(t, problemsOf(t, err).Error(), "too deep or too large")
	_, err = loadText("egress: {allow: &a [*a]}\n", Options{})
	problemsOf(t, err)
	_, err = loadText("tools: &a [{parameters: {x: *a}}]\n", Options{})
	problemsOf(t, err)
	c := mustLoad(t, "execution: {lease_ttl: &d 7s, idempotency_ttl: *d}\n", Options{})
	if c.Execution.IdempotencyTTL != 7*time.Second {
		t.Error("a plain alias is not followed")
	}
}

func TestEmptyFilesAndEmptySectionsSayNothing(t *testing.T) {
	for _, text := range []string{"", "\n", "# a comment\n", "{}", "null", "api:\nproviders:\n  openai:\nagents:\n"} {
		mustLoad(t, text, Options{})
	}
}
