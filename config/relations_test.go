package config

import (
	"slices"
	"strings"
	"testing"
	"time"
)

const ok = `, http: {url: "http://h/"}`

func TestValuesThatDoNotFitTogetherAreRefused(t *testing.T) {
	for name, try := range map[string]struct {
		text string
		want []string
	}{
		"not loopback":           {"api:\n  host: 0.0.0.0\n", []string{"config.yaml:2", "api.host", "auth: {mode: none}"}},
		"named, not loopback":    {"api: {host: example.com}\n", []string{"api.host", "not loopback"}},
		"redis without URL":      {"session:\n  type: redis\n", []string{"config.yaml:2: session.redis.url is missing: session.type is redis", "Try: set AK_SESSION__REDIS__URL, or url: redis://127.0.0.1"}},
		"dynamodb without table": {"session: {type: dynamodb}\n", []string{"session.dynamodb.table_name is missing", "AK_SESSION__DYNAMODB__TABLE_NAME"}},
		"postgres without URL":   {"session: {type: postgres, postgres: {url: \"\"}}\n", []string{"session.postgres.url is empty", "AK_SESSION__POSTGRES__URL"}},
		"password with a slash":  {"session: {type: redis, redis: {url: \"redis://u:canary/x@h:6379\"}}\n", []string{"session.redis.url is no usable URL", "/ is %2F"}},
		"password with a query":  {"session: {type: postgres, postgres: {url: \"postgres://u:canary?x@h/d\"}}\n", []string{"session.postgres.url is no usable URL", "? is %3F"}},
		"keywords for a URL":     {"session: {type: postgres, postgres: {url: \"host=h password=canary\"}}\n", []string{"postgres://, postgresql://"}},
		"sweep over lease":       {"execution: {lease_ttl: 2s, sweep_interval: 3s}\n", []string{"execution.sweep_interval", "(3s)", "(2s)"}},
		"lease under sweep":      {"execution: {lease_ttl: 1s, sweep_interval: 1001ms}\n", []string{"sweep_interval (1.001s)"}},
		"provider without type":  {"providers: {local: {base_url: \"http://h\"}}\n", []string{"config.yaml:1", "providers.local.type", "is missing"}},
		"provider without URL":   {"providers: {local: {type: openai_compatible}}\n", []string{"providers.local.base_url", "is missing"}},
		"provider id":            {"providers: {\"My Local\": {type: scripted}}\n", []string{"no usable name"}},
		"script of openai":       {"providers: {openai: {script: x}}\n", []string{"providers.openai.script", "has no effect"}},
		"key of a script":        {"providers: {s: {type: scripted, api_key: canary-k, base_url: \"http://h\"}}\n", []string{"providers.s.api_key", "providers.s.base_url"}},
		"tool twice":             {"tools:\n- {name: a" + ok + "}\n- {name: a" + ok + "}\n", []string{"config.yaml:3", "tools.1.name", "tools.0 has that name"}},
		"tool without URL":       {"tools:\n- {name: a, http: {method: GET}}\n- {name: b}\n", []string{"tools.0.http.url is missing", "tools.1.http is missing", "http or mcp", "config.yaml:3"}},
		"reconcile of read_only": {"tools:\n- {name: a, effect: read_only" + ok + ", reconcile: {http: {url: \"http://h/{idempotency_key}\"}}}\n", []string{"tools.0.reconcile", "has no effect"}},
		"refuses of idempotent":  {"tools:\n- {name: a, effect: idempotent" + ok + ", refuses: stale_epoch, on_doubt: tell}\n", []string{"tools.0.refuses", "tools.0.on_doubt"}},
		"own header":             {"tools:\n- {name: a, http: {url: \"http://h\", headers: {idempotency-key: x, ak-epoch: y}}}\n", []string{"headers.Idempotency-Key", "headers.Ak-Epoch"}},
		"header twice":           {"tools:\n- {name: a, http: {url: \"http://h\", headers: {x-a: x, X-A: y}}}\n", []string{"other letters"}},
		"header name":            {"tools:\n- {name: a, http: {url: \"http://h\", headers: {\"a b\": x}}}\n", []string{"no usable name"}},
		"placeholder":            {"tools:\n- {name: a, parameters: {type: object, properties: {city: {}}}, http: {url: \"http://h/{citty}\"}}\n", []string{"{citty}", "Try: {city}"}},
		"placeholder as host":    {"tools:\n- {name: a, parameters: {type: object, properties: {city: {}}}, http: {url: \"http://{city}.h/\"}}\n", []string{"after the host"}},
		"placeholder as scheme":  {"tools:\n- {name: a, http: {url: \"{idempotency_key}\"}}\n", []string{"http://"}},
		"parameter key twice":    {"tools:\n- {name: a" + ok + ", parameters: {type: object, type: object}}\n", []string{"comes twice"}},
		"agent twice":            {base + "  - {name: helper, model: local/m}\n", []string{"config.yaml:15", "agents.1.name"}},
		"unknown provider":       {base + "  - {name: b, model: lokal/m}\n", []string{"config.yaml:15", "\"lokal\"", "Try: model: local/m"}},
		"unknown tool":           {base + "  - {name: b, model: local/m, tools: [pay, lok]}\n", []string{"agents.1.tools.1", "\"lok\"", "Try: look"}},
		"nothing to refer to":    {"agents: [{name: b, model: x/m, tools: [y]}]\n", []string{"there are no providers", "there are no tools"}},
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

func TestOneMistakeIsNotReportedAgainByWhatRefersToIt(t *testing.T) {
	for name, text := range map[string]string{
		"providers": strings.Replace(base, "providers:\n", "providers:\n  x: 5\n", 1),
		"tools":     strings.Replace(base, "name: pay", "name: [pay]", 1),
		"agents":    strings.Replace(base, "model: local/m", "model: {a: b}", 1),
	} {
		_, err := loadText(text, Options{})
		if all := problemsOf(t, err); len(all) != 1 {
			t.Errorf("%s: one mistake makes %d problems: %v", name, len(all), err)
		}
	}
}

func TestAnOpenAddressNeedsAuthInWriting(t *testing.T) {
	for _, o := range []Options{
		{Env: []string{"AK_AUTH__MODE=none"}}, {Flags: map[string]string{"auth.mode": "none"}},
	} {
		mustLoad(t, "api: {host: 0.0.0.0}\n", o)
	}
	mustLoad(t, "api: {host: 0.0.0.0}\nauth: {mode: none}\n", Options{})
	for _, host := range []string{"127.0.0.1", "127.8.8.8", "localhost", "\"::1\""} {
		mustLoad(t, "api: {host: "+host+"}\n", Options{})
	}
}

func TestOpenAIProvidersTakeTheUsualVariables(t *testing.T) {
	c := mustLoad(t, "providers: {openai: {}, spare: {type: openai, api_key: own}, local: {type: openai_compatible, base_url: \"http://h\"}}\n",
		Options{Env: []string{EnvOpenAIKey + "=canary", EnvOpenAIBaseURL + "=http://proxy/v1"}})
	p := c.Providers["openai"]
	if p.Type != OpenAI || p.APIKey.Reveal() != "canary" || p.BaseURL.Reveal() != "http://proxy/v1" {
		t.Errorf("openai is %+v", p)
	}
	if got := c.Source("providers.openai.api_key").String(); got != "env OPENAI_API_KEY" {
		t.Errorf("source is %s", got)
	}
	if c.Providers["spare"].APIKey.Reveal() != "own" || !c.Providers["local"].APIKey.IsZero() {
		t.Error("a key went to a provider that must not have it")
	}
	plain := mustLoad(t, "providers: {openai: {}}\n", Options{})
	if got := plain.Providers["openai"].BaseURL.Reveal(); got != "https://api.openai.com/v1" {
		t.Errorf("base URL is %s", got)
	}
	_, err := loadText("providers: {openai: {}}\n", Options{Env: []string{EnvOpenAIBaseURL + "=proxy"}})
	mentions(t, problemsOf(t, err).Error(), "env OPENAI_BASE_URL", "providers.openai.base_url")
}

func TestServingNeedsTheKeysOfTheProvidersInUse(t *testing.T) {
	text := "providers: {openai: {}, off: {type: scripted}}\nagents: [{name: a, model: %/m}]\n"
	used := mustLoad(t, strings.Replace(text, "%", "openai", 1), Options{})
	mentions(t, problemsOf(t, used.CheckServe()).Error(), "providers.openai.api_key", "OPENAI_API_KEY", "agent a")
	if err := mustLoad(t, strings.Replace(text, "%", "off", 1), Options{}).CheckServe(); err != nil {
		t.Errorf("a key is asked for that nobody uses: %v", err)
	}
}

func TestTheStoresOwnTTLOverridesAndKeysNeverOutliveSessions(t *testing.T) {
	text := "session: {type: in_memory, ttl: 100, in_memory: {ttl: 60}, sqlite: {ttl: 1h}}\n"
	c := mustLoad(t, text, Options{})
	if c.SessionTTL() != time.Minute || c.IdempotencyTTL() != time.Minute {
		t.Errorf("session ttl %s, key ttl %s", c.SessionTTL(), c.IdempotencyTTL())
	}
	c = mustLoad(t, text, Options{Env: []string{"AK_SESSION__TYPE=sqlite"}})
	if c.SessionTTL() != time.Hour {
		t.Errorf("session ttl %s", c.SessionTTL())
	}
}

func TestToolsMayReachTheirOwnHostsAndWhatIsAllowed(t *testing.T) {
	c := mustLoad(t, "egress: {allow: [z.example.com, 10.0.0.0/8]}\ntools:\n"+
		"- {name: a, http: {url: \"https://API.example.com/{idempotency_key}\"}, reconcile: {http: {url: \"http://h:81/\"}}}\n"+
		"- {name: b, http: {url: \"http://[::1]:9/\"}}\n- {name: c, http: {url: \"https://api.example.com/c\"}}\n", Options{})
	want := []string{"[::1]:9", "api.example.com:443", "h:81", "10.0.0.0/8", "z.example.com"}
	if got := c.EgressAllow(); !slices.Equal(got, want) {
		t.Errorf("egress %q, want %q", got, want)
	}
}

func TestReconcileAsksWithGETUnlessToldOtherwise(t *testing.T) {
	c := mustLoad(t, base, Options{})
	if pay := c.Tools[0]; pay.HTTP.Method != "POST" || pay.Reconcile.HTTP.Method != "GET" || pay.Effect != AtMostOnce {
		t.Errorf("defaults of a tool: %+v", pay)
	}
	if tool, found := c.Tool("look"); !found || tool.Effect != ReadOnly {
		t.Error("a tool is not found by its name")
	}
	if _, found := c.Tool("none"); found {
		t.Error("a tool that is not there is found")
	}
}

func TestAModelMayHoldSlashes(t *testing.T) {
	p, m := Agent{Model: "local/meta/llama-3"}.ProviderAndModel()
	if p != "local" || m != "meta/llama-3" {
		t.Errorf("provider %q, model %q", p, m)
	}
}
