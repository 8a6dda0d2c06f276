package config

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	hash  = "sha256:a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1"
	hash2 = "sha256:b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2"
	mcp   = "tools:\n- {name: m, mcp: {command: [p]"
)

// with2 is base with a further agent, which stands in line 15.
func with2(agent string) string { return base + "  - {name: b, model: local/m, " + agent + "}\n" }

func TestNewerValuesThatDoNotFitTogetherAreRefused(t *testing.T) {
	for name, try := range map[string]struct {
		text string
		want []string
	}{
		"admin not loopback":             {"admin: {host: 0.0.0.0}\n", []string{"config.yaml:1", "admin.host is not loopback", "Try: host: 127.0.0.1"}},
		"admin on the API's port":        {"admin: {port: 8000}\n", []string{"admin.port is the port of the API"}},
		"api_key without keys":           {"auth: {mode: api_key}\n", []string{"auth.keys is missing", "ak auth key"}},
		"keys without the mode":          {"auth: {keys: [{id: a, hash: \"" + hash + "\"}]}\n", []string{"auth.keys has no effect", "auth.mode is none", "mode: api_key"}},
		"keys with another mode":         {"auth: {mode: jwt, jwt: {issuer: \"https://i\", audience: a}, keys: [{id: a, hash: \"" + hash + "\"}]}\n", []string{"auth.keys has no effect"}},
		"a key in the place of its hash": {"auth: {mode: api_key, keys: [{id: a, hash: canary-5f1e}]}\n", []string{"auth.keys.0.hash is no hash", "64 small hex digits", "ak auth key"}},
		"key id twice":                   {"auth: {mode: api_key, keys: [{id: a, hash: \"" + hash + "\"}, {id: a, hash: \"" + hash2 + "\"}]}\n", []string{"auth.keys.1.id", "auth.keys.0 has that id"}},
		"one key of two":                 {"auth: {mode: api_key, keys: [{id: a, hash: \"" + hash + "\"}, {id: b, hash: \"" + hash + "\"}]}\n", []string{"auth.keys.1.hash comes twice"}},
		"key without roles":              {"auth: {mode: api_key, keys: [{id: a, hash: \"" + hash + "\", roles: []}]}\n", []string{"auth.keys.0.roles is empty"}},
		"role":                           {"auth: {mode: api_key, keys: [{id: a, hash: \"" + hash + "\", roles: [aprover]}]}\n", []string{"auth.keys.0.roles.0", "user, approver, operator", "Try: approver"}},
		"jwt without issuer":             {"auth: {mode: jwt}\n", []string{"auth.jwt.issuer is missing", "auth.jwt.audience is missing", "auth.mode is jwt"}},
		"jwt without the mode":           {"auth: {jwt: {issuer: \"https://i\"}}\n", []string{"auth.jwt.issuer has no effect", "auth.mode is none"}},
		"shared secret":                  {"auth: {mode: jwt, jwt: {issuer: \"https://i\", audience: a, algorithms: [HS256, none]}}\n", []string{"algorithms.0 is \"HS256\"", "could also make one", "algorithms.1 is \"none\"", "Try: RS256"}},
		"retention":                      {"session: {retention: 3600}\n", []string{"config.yaml:1", "session.retention does not fit", "(1h)", "(24h)", "Try: retention: 24h"}},
		"idempotency":                    {"session: {ttl: 8760h}\nexecution: {idempotency_ttl: 200h}\n", []string{"config.yaml:2", "execution.idempotency_ttl does not fit", "(168h)"}},

		"region of openai":    {"providers: {openai: {region: eu-west-1}}\n", []string{"providers.openai.region has no effect", "type openai"}},
		"script of anthropic": {"providers: {anthropic: {script: x}}\n", []string{"providers.anthropic.script has no effect"}},
		"model of nobody":     {base + "models: {lokal/m: {window: 5}}\n", []string{"models.lokal/m", "\"lokal\"", "Try: local/m"}},
		"model without slash": {base + "models: {gpt: {window: 5}}\n", []string{"models.gpt is no usable name", "openai/gpt-5-mini"}},
		"price misspelt":      {base + "models: {local/m: {price: {inputs: 5}}}\n", []string{"config.yaml:15", "models.local/m.price.inputs", "price.input"}},

		"http and mcp":            {"tools:\n- {name: m, mcp: {command: [p]}" + ok + "}\n", []string{"tools.0.mcp comes beside http", "only one"}},
		"neither http nor mcp":    {"tools:\n- {name: m}\n", []string{"tools.0.http is missing", "http or mcp"}},
		"command and url":         {mcp + ", url: \"http://h\"}}\n", []string{"tools.0.mcp.url comes beside command"}},
		"neither command nor url": {"tools:\n- {name: m, mcp: {}}\n", []string{"tools.0.mcp.command is missing", "command or url"}},
		"parameters of mcp":       {mcp + "}, parameters: {type: object}}\n", []string{"tools.0.parameters is not for MCP", "the server says"}},
		"reconcile of mcp":        {mcp + "}, reconcile: {http: {url: \"http://h/\"}}}\n", []string{"tools.0.reconcile is not for MCP"}},
		"headers of a command":    {mcp + ", headers: {X-A: canary}}}\n", []string{"tools.0.mcp.headers has no effect", "takes none"}},
		"env of a url":            {"tools:\n- {name: m, mcp: {url: \"http://h\", env: {A: canary}}}\n", []string{"tools.0.mcp.env has no effect"}},
		"env name":                {mcp + ", env: {\"A B\": canary}}}\n", []string{"no usable name", "a variable's name"}},
		"header of the protocol":  {"tools:\n- {name: m, mcp: {url: \"http://h\", headers: {mcp-session-id: x}}}\n", []string{"tools.0.mcp.headers.Mcp-Session-Id cannot be set"}},
		"each outside of only":    {mcp + ", only: [read], each: {raed: {}}}}\n", []string{"tools.0.mcp.each.raed has no effect", "Try: read"}},
		"refuses of a reader":     {mcp + ", each: {r: {effect: read_only, refuses: duplicate_key}}}}\n", []string{"tools.0.mcp.each.r.refuses has no effect"}},
		"refuses of all readers":  {mcp + "}, effect: read_only, refuses: duplicate_key}\n", []string{"tools.0.refuses has no effect"}},
		"tool of each":            {mcp + ", each: {\"r w\": {}}}}\n", []string{"no usable name", "a tool's name"}},

		"handoff to nobody":       {with2("handoffs: [helpr]"), []string{"config.yaml:15", "agents.1.handoffs.0", "\"helpr\"", "Try: helper"}},
		"handoff to itself":       {with2("handoffs: [b]"), []string{"agents.1.handoffs.0 is the agent itself"}},
		"subagent of nobody":      {with2("subagents: [xyz]"), []string{"agents.1.subagents.0", "there is helper, b", "add it under agents"}},
		"subagents in a circle":   {with2("subagents: [c]") + "  - {name: c, model: local/m, subagents: [d]}\n  - {name: d, model: local/m, subagents: [b]}\n", []string{"config.yaml:17", "agents.3.subagents.0 closes a circle", "b asks c asks d asks b"}},
		"money without a price":   {with2("limits: {money: 0.5}"), []string{"agents.1.limits.money cannot be kept", "local/m costs", "models: {\"local/m\""}},
		"schema of a list":        {with2("output_schema: {type: array}"), []string{"agents.1.output_schema does not describe an object"}},
		"schema that is none":     {with2("output_schema: {type: objct}"), []string{"agents.1.output_schema is no JSON Schema"}},
		"hook twice":              {with2("hooks: {before: [{name: h" + ok + "}], after: [{name: h" + ok + "}]}"), []string{"agents.1.hooks.after.0.name", "agents.1.hooks.before.0 has that name"}},
		"hook with GET":           {with2("hooks: {before: [{name: h, http: {url: \"http://h\", method: GET}}]}"), []string{"hooks.before.0.http.method", "POST"}},
		"hook with a placeholder": {with2("hooks: {before: [{name: h, http: {url: \"http://h/{session}\"}}]}"), []string{"hooks.before.0.http.url", "{placeholder}"}},
		"hook without URL":        {with2("hooks: {before: [{name: h}]}"), []string{"hooks.before.0.http.url is missing"}},
		"hook misspelt":           {with2("hooks: {befor: []}"), []string{"agents.1.hooks.befor", "hooks.before"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := loadText(try.text, Options{})
			mentions(t, problemsOf(t, err).Error(), try.want...)
			if strings.Contains(err.Error(), "canary") {
				t.Errorf("a secret is quoted: %v", err)
			}
		})
	}
}

func TestProvidersTakeTheVariablesOfTheirVendors(t *testing.T) {
	text := "providers: {anthropic: {}, gemini: {}, bedrock: {}, eu: {type: bedrock, region: eu-west-3}}\n"
	for name, try := range map[string]struct {
		env  []string
		want map[string]string // printed path to value
		from map[string]string
	}{
		"anthropic": {
			[]string{"ANTHROPIC_API_KEY=canary-a", "ANTHROPIC_BASE_URL=http://proxy"},
			map[string]string{"anthropic.api_key": Mask, "anthropic.base_url": "http://proxy", "anthropic.type": "anthropic"},
			map[string]string{"anthropic.api_key": "env ANTHROPIC_API_KEY", "anthropic.base_url": "env ANTHROPIC_BASE_URL"},
		},
		"anthropic alone": {nil, map[string]string{"anthropic.base_url": "https://api.anthropic.com"}, map[string]string{"anthropic.base_url": "default"}},
		"gemini": {
			[]string{"GEMINI_API_KEY=canary-a", "GOOGLE_API_KEY=canary-b"},
			map[string]string{"gemini.api_key": Mask, "gemini.type": "gemini"},
			map[string]string{"gemini.api_key": "env GEMINI_API_KEY"},
		},
		"google": {[]string{"GOOGLE_API_KEY=canary-b"}, map[string]string{"gemini.api_key": Mask}, map[string]string{"gemini.api_key": "env GOOGLE_API_KEY"}},
		"bedrock": {
			[]string{"AWS_REGION=us-east-2", "AWS_DEFAULT_REGION=us-west-1", "AWS_BEARER_TOKEN_BEDROCK=canary-c"},
			map[string]string{"bedrock.region": "us-east-2", "bedrock.api_key": Mask, "eu.region": "eu-west-3"},
			map[string]string{"bedrock.region": "env AWS_REGION", "bedrock.api_key": "env AWS_BEARER_TOKEN_BEDROCK", "eu.region": "config.yaml:1"},
		},
		"bedrock's other variable": {
			[]string{"AWS_DEFAULT_REGION=us-west-1"},
			map[string]string{"bedrock.region": "us-west-1"},
			map[string]string{"bedrock.region": "env AWS_DEFAULT_REGION"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := mustLoad(t, text, Options{Env: try.env})
			for path, want := range try.want {
				if got, _ := at(printed(t, c), "providers."+path); got != want {
					t.Errorf("%s is %v, want %s", path, got, want)
				}
			}
			for path, want := range try.from {
				if got := c.Source("providers." + path).String(); got != want {
					t.Errorf("%s comes from %s, want %s", path, got, want)
				}
			}
		})
	}
	_, err := loadText(text, Options{Env: []string{"AWS_REGION=US EAST"}})
	mentions(t, problemsOf(t, err).Error(), "env AWS_REGION", "providers.bedrock.region")
	_, err = loadText(text, Options{Env: []string{"ANTHROPIC_BASE_URL=http://u:canary-pw@h:0"}})
	mentions(t, problemsOf(t, err).Error(), "env ANTHROPIC_BASE_URL")
	if strings.Contains(err.Error(), "canary") {
		t.Errorf("a password is quoted: %v", err)
	}
}

func TestServingAsksForTheKeysOfEachVendor(t *testing.T) {
	for id, want := range map[string]string{"anthropic": EnvAnthropicKey, "gemini": EnvGeminiKey} {
		c := mustLoad(t, "providers: {"+id+": {}}\nagents: [{name: a, model: "+id+"/m}]\n", Options{})
		mentions(t, problemsOf(t, c.CheckServe()).Error(), "providers."+id+".api_key", want)
	}
	c := mustLoad(t, "providers: {bedrock: {}}\nagents: [{name: a, model: bedrock/m}]\n", Options{})
	if err := c.CheckServe(); err != nil {
		t.Errorf("bedrock may find credentials of its own: %v", err)
	}
}

func TestModelsAreReachedWhateverTheirNamesHold(t *testing.T) {
	const text = base + "models: {local/gpt-4.1: {window: 1}}\n"
	for _, o := range []Options{
		{Env: []string{"AK_MODELS__LOCAL_GPT_4_1__WINDOW=5"}},
		{Env: []string{`AK_MODELS={"local/gpt-4.1":{"window":5}}`}},
		{Flags: map[string]string{"models.local/gpt-4.1.window": "5"}},
		{Flags: map[string]string{`models."local/gpt-4.1".window`: "5"}},
		{Flags: map[string]string{"models": `{"local/gpt-4.1":{"window":5}}`}},
	} {
		c := mustLoad(t, text, o)
		if len(c.Models) != 1 || c.Models["local/gpt-4.1"].Window != 5 {
			t.Errorf("%v: models are %v", o, c.Models)
		}
		if from := c.Source(`models."local/gpt-4.1".window`); from.Kind != FromEnv && from.Kind != FromFlag {
			t.Errorf("%v: the window comes from %s", o, from)
		}
	}
	// A model that only an agent names can be spelled too; one that nobody names cannot.
	c := mustLoad(t, base, Options{Env: []string{"AK_MODELS__LOCAL_M__PRICE__OUTPUT=0.5"}})
	if c.Models["local/m"].Price.Output != 0.5 {
		t.Errorf("models are %v", c.Models)
	}
	_, err := loadText(base, Options{Env: []string{"AK_MODELS__LOCAL_X__WINDOW=5"}})
	mentions(t, problemsOf(t, err).Error(), "AK_MODELS__LOCAL_X__WINDOW", "cannot spell", "AK_MODELS={")
}

func TestAModelThatNoAgentHasIsAWarning(t *testing.T) {
	c := mustLoad(t, base+"models: {local/n: {window: 1}, local/m: {window: 2}}\n", Options{})
	if got := c.Warnings(); len(got) != 1 || !strings.Contains(got[0], "models.local/n") || !strings.Contains(got[0], "local/m") {
		t.Errorf("warnings are %q", got)
	}
}

func TestPlainHTTPToAnIssuerIsAWarning(t *testing.T) {
	for issuer, want := range map[string]int{"http://login.example.com": 1, "http://127.0.0.1:9": 0, "https://login.example.com": 0} {
		c := mustLoad(t, "auth: {mode: jwt, jwt: {issuer: \""+issuer+"\", audience: a}}\n", Options{})
		if got := c.Warnings(); len(got) != want {
			t.Errorf("%s: warnings are %q", issuer, got)
		}
	}
}

func TestNamesWithDotsDoNotMeetEachOther(t *testing.T) {
	c := mustLoad(t, mcp+", each: {a: {}, a.effect: {timeout: 3s}, a.approval: {effect: read_only}, \"a/b.c\": {}}}}\n", Options{})
	if got := c.Source(`tools.0.mcp.each."a.effect".timeout`).String(); got != "config.yaml:2" {
		t.Errorf("source is %s", got)
	}
	if c.isSet("tools.0.mcp.each.a.effect") || c.isSet("tools.0.mcp.each.a.approval") {
		t.Error("an entry whose name holds a dot is taken for a key of another")
	}
	printsAsItself(t, c)
}

// printsAsItself fails unless every print of c is a configuration with c's digest.
func printsAsItself(t *testing.T, c *Config) {
	t.Helper()
	for _, format := range []string{YAML, JSON} {
		for _, sources := range []bool{false, true} {
			if format == JSON && sources {
				continue // an answer for programs, not a file
			}
			var b bytes.Buffer
			if err := c.Print(&b, format, sources); err != nil {
				t.Fatal(err)
			}
			again, err := loadText(b.String(), Options{})
			if err != nil {
				t.Fatalf("%v\n%s", err, b.String())
			}
			if again.Digest() != c.Digest() {
				t.Errorf("the print as %s reads as another configuration:\n%s", format, b.String())
			}
		}
	}
}

func TestEveryPartPrintsAsAConfigurationWithTheSameDigest(t *testing.T) {
	for name, text := range map[string]string{"wide": wide, "keyed": keyed, "signed": signed, "small": "{}"} {
		t.Run(name, func(t *testing.T) { printsAsItself(t, mustLoad(t, text, Options{})) })
	}
}

func TestTheDefaultsOfTheNewerParts(t *testing.T) {
	c := mustLoad(t, wide, Options{})
	if c.API.MaxBody != 1<<20 || c.API.MaxFiles != 8 || c.API.MaxFileSize != 10<<20 || c.API.MaxStreams != 1000 ||
		c.API.BodyTimeout != 30*time.Second || c.Admin.Port != 0 || c.Admin.Host != "127.0.0.1" ||
		c.Session.Retention != 168*time.Hour || c.Session.SnapshotEvery != 256 || c.Execution.WaitMax != 24*time.Hour ||
		!slices.Equal(c.Auth.JWT.Algorithms, []string{"RS256", "ES256"}) {
		t.Errorf("defaults are %s", c)
	}
	a := c.Agents[0]
	if a.OnDisconnect != ContinueTurn || a.History != (History{Turns: 200, Compact: Summarize}) || a.Limits.Repeats != 3 ||
		a.Hooks.Before[0].Timeout != 5*time.Second || a.Hooks.Before[0].HTTP.Method != "POST" || len(a.OutputSchema) != 0 {
		t.Errorf("defaults of an agent are %+v", a)
	}
	m, _ := c.Tool("files")
	if m.Parameters != nil || m.HTTP != nil || m.MCP.Each["read_file"].Approval != nil ||
		m.Approval.When != Never || m.Approval.Expires != 24*time.Hour || len(m.Approval.Roles) != 0 {
		t.Errorf("defaults of an MCP tool are %+v", m)
	}
	k := mustLoad(t, keyed, Options{}).Auth.Keys[0]
	if !slices.Equal(k.Roles, []string{RoleUser}) || k.Tenant != "" {
		t.Errorf("defaults of a key are %+v", k)
	}
}

func TestRequestsOfMCPServersAndHooksMayReachTheirHosts(t *testing.T) {
	c := mustLoad(t, "providers: {offline: {type: scripted}}\ntools: [{name: m, mcp: {url: \"https://mcp.example.com/x\"}}]\n"+
		"agents: [{name: a, model: offline/m, hooks: {before: [{name: h, http: {url: \"http://hook:81/\"}}]}}]\n", Options{})
	if got := c.EgressAllow(); !slices.Equal(got, []string{"hook:81", "mcp.example.com:443"}) {
		t.Errorf("egress is %q", got)
	}
}

func TestSecretsOfMCPServersAndHooksAreReadAndNeverPrinted(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "token", "canary-77aa\n")
	text := strings.Replace(wide, "[serve-files, /srv]", "[serve-files], env: {TOKEN: <file:token>, PLAIN: canary-plain}", 1)
	text = strings.Replace(text, "127.0.0.1:1/mcp\"", "u:<file:token>@127.0.0.1:1/mcp\", headers: {Authorization: Bearer <file:token>}", 1)
	text = strings.Replace(text, "127.0.0.1:1/guard\"", "127.0.0.1:1/guard\", headers: {X-Key: <file:token>}", 1)
	c := mustLoad(t, text, Options{Env: []string{EnvSecrets + "=" + dir}})
	files, _ := c.Tool("files")
	remote, _ := c.Tool("remote")
	for _, got := range []string{
		files.MCP.Env["TOKEN"].Reveal(), remote.MCP.Headers["Authorization"].Reveal(), remote.MCP.URL.Reveal(),
		c.Agents[0].Hooks.Before[0].HTTP.Headers["X-Key"].Reveal(),
	} {
		if !strings.Contains(got, "canary-77aa") {
			t.Errorf("a secret is read as %q", got)
		}
	}
	for _, sources := range []bool{false, true} {
		for _, format := range []string{YAML, JSON} {
			var b bytes.Buffer
			if err := c.Print(&b, format, sources); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(b.String(), "canary") {
				t.Errorf("a print shows a secret:\n%s", b.String())
			}
		}
	}
	if got := c.Source("tools.2.mcp.env.TOKEN"); got.Secret != "token" {
		t.Errorf("source is %s", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte("canary-88bb"), 0o600); err != nil {
		t.Fatal(err)
	}
	if again := mustLoad(t, text, Options{Env: []string{EnvSecrets + "=" + dir}}); again.Digest() != c.Digest() {
		t.Error("another secret is another configuration")
	}
}
