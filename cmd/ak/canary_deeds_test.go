package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/agentkernel/agentkernel/fault"
)

// chats has every provider, tool, hook and MCP server succeed and fail in every way that the parrot knows.
func (p *parrot) chats(s *canaryServer) {
	p.t.Helper()
	agents := map[string][]string{}
	for _, agent := range canaryAgents {
		agents[agent] = append(agents[agent], "my name is Ada")
		for _, how := range strings.Fields("400 401 403 404 429 500 503 stream page cut reset away redirect plain") {
			agents[agent] = append(agents[agent], "fault-"+how)
		}
	}
	for _, how := range strings.Fields("echo200 echo400 echo401 echo500 echo503 redirect cut reset") {
		agents["openai"] = append(agents["openai"], "use act "+how, "use get "+how, "hook-before-"+how, "hook-after-"+how)
	}
	for _, how := range strings.Fields("reply note refuse other") {
		agents["anthropic"] = append(agents["anthropic"], "hook-before-"+how, "hook-after-"+how)
	}
	for _, how := range strings.Fields("well fail error die well") {
		agents["gemini"] = append(agents["gemini"], "use prog_tell "+how, "use web_tell "+strings.Replace(how, "die", "well", 1))
	}
	n := 0
	for agent, prompts := range agents {
		for _, prompt := range prompts {
			n++
			accept := []string{"application/json", "text/event-stream"}[n%2]
			body, _ := json.Marshal(map[string]string{"prompt": prompt, "agent": agent, "session_id": fmt.Sprintf("%s-%d", agent, n)})
			got := s.ask(http.MethodPost, "/api/v1/chat", string(body), "Accept", accept)
			if strings.HasPrefix(prompt, "my name") && !strings.Contains(got, "Ada") {
				p.t.Errorf("%s: %s", agent, got)
			}
		}
	}
}

// commands runs what an operator would, with the server's own environment, and with mistakes in it.
func (s *canaryServer) commands() {
	dir := s.cmd.Dir
	for _, line := range []string{
		"config print", "config print --sources", "config print -o json --sources", "config env", "config env -o json", "config validate", "config validate -o json",
		"config schema", "doctor", "doctor -o json", "doctor --online", "version -o json", "verify", "agents", "help",
		"health -o json --url URL", "turns ls -o json --url URL", "turns ls --url URL --api-key KEY", "sessions ls --url URL --api-key KEY", "agents --url URL --api-key KEY",
		"chat hello --url http://u:%{--url}@127.0.0.1:1", "health --url http://u:%{--url}@127.0.0.1:1", "health --url http://127.0.0.1:1/?key=%{--url}",
		"chat hello --url URL --api-key ak_%{--api-key}", "chat hello --url URL --api-key %{--api-key}\x01", "chat hello --url http://u:%{--url}@HOST:x",
	} {
		line = strings.NewReplacer("URL", s.url, "KEY", s.key).Replace(s.in(line))
		s.run(dir, s.env, strings.Fields(line)...)
	}
	const base = "agents: [{name: a, model: o/m}]\n"
	for _, text := range []string{
		base + "providers: {o: {type: openai_compatible, base_url: \"ftp://u:%{mistake}@h/\"}}",
		base + "providers: {o: {type: openai_compatible, base_url: \"http://u:%{mistake}@h h/\"}}",
		base + "providers: {o: {type: openai_compatible, base_url: \"http://h/v1?key=%{mistake}\"}}",
		base + "providers: {o: {type: openai_compatible, base_url: \"http://h/v1\", api_kye: %{mistake}}}",
		base + "providers: {o: {type: openai_compatible, base_url: \"http://h/v1\", api_key: [%{mistake}]}}",
		base + "providers: {o: {type: openai_compatible, base_url: \"http://h/v1\", api_key: \"a %{mistake}\"}}",
		base + "providers: {o: {type: openai_compatible, base_url: \"http://h/v1\", api_key: %{mistake}\n",
		base + "providers: {o: {type: openai_compatible, api_key: %{mistake}}}",
		base + "providers: {o: {type: scripted}}\nauth: {mode: api_key, keys: [{id: a, hash: %{mistake}}]}",
		base + "providers: {o: {type: scripted}}\nauth: {mode: api_key, keys: [{id: a, key: %{mistake}}]}",
		base + "providers: {o: {type: scripted}}\nauth: {mode: jwt, jwt: {issuer: 'https://i', audience: a, jwks_url: 'ftp://u:%{mistake}@h/?token=%{mistake}'}}",
		base + "providers: {o: {type: scripted}}\ntools: [{name: t, http: {url: 'http://u:%{mistake}@h:x/?token=%{mistake}', headers: {A: \"%{mistake}\\n\", 'B b': %{mistake}}}}]",
		base + "providers: {o: {type: scripted}}\nsession: {type: redis, redis: {url: 'redis://u:%{mistake}/x@h'}, postgres: {url: 'host=h password=%{mistake}'}}",
		base + "providers: {o: {type: scripted}}\nsession: {type: postgres, postgres: {url: 'postgres://u:%{mistake}#x@h/d', uri: 'x://u:%{mistake}@h'}, redis: {url: ['redis://:%{mistake}@h']}}",
		base + "providers: {o: {type: scripted}}\ntools: [{name: t, mcp: {command: p, env: {A: [%{mistake}], 'B=': %{mistake}}, headers: %{mistake}}}]",
	} {
		bad := folder(s.canaries.t, s.in(text))
		s.run(bad, nil, "config", "validate")
		s.run(bad, nil, "config", "print")
		s.run(bad, nil, "doctor", "-o", "json")
		s.run(bad, nil, "serve", "--port", "0", "--set", "api.prot=1") // it must not go on serving
	}
	s.run(dir, append(s.env, s.in("AK_PROVIDERS__OPENAI__API_KYE=%{mistake}")), "config", "validate")
	s.run(dir, append(s.env, s.in("AK_OPENAI_API_KEY=%{mistake}")), "config", "validate")
	s.run(dir, append(s.env, "AK_SECRETS_PATH=/nowhere"), "config", "validate")
}

// reloads has the server read its configuration again, as it is, and with a mistake.
func (s *canaryServer) reloads() {
	s.signal(syscall.SIGHUP)
	s.await(`were reloaded`)
	write(s.canaries.t, filepath.Join(s.cmd.Dir, "config.yaml"), s.in("providers: {openai: {api_kye: %{mistake}, base_url: 'ftp://u:%{mistake}@h'}}\nauth: {keys: [{id: a, hash: %{mistake}}]}"))
	s.signal(syscall.SIGHUP)
	s.await("was not reloaded")
}

// sentAll checks that the canaries were in use: those of servers came where they belong.
func (p *parrot) sentAll() {
	p.t.Helper()
	unused := map[string]bool{ // what another value goes before, or what goes to others than the parrot
		"ANTHROPIC_API_KEY": true, "GEMINI_API_KEY": true, "GOOGLE_API_KEY": true, "AK_TOKEN": true, "AK_API_KEY": true,
		"OPENAI_BASE_URL": true, "tools.mcp.env": true, "auth.keys.hash": true, "instructions": true, "argument": true,
	}
	sent := p.wire.String()
	for name, text := range p.texts {
		if strings.HasPrefix(name, "request#") || strings.HasPrefix(name, "--") || strings.HasPrefix(name, "session.") || name == "mistake" || unused[name] {
			continue
		}
		if !strings.Contains(sent, text) {
			p.t.Errorf("the secret of %s was never sent, so its absence elsewhere says nothing", name)
		}
	}
}

// TestASecretIsNowhereWhenAServerCannotStart has MCP servers fail at the start, with everything they were told.
func TestASecretIsNowhereWhenAServerCannotStart(t *testing.T) {
	c := &canaries{t: t, texts: map[string]string{}}
	p := newParrot(t, c)
	for name, spec := range map[string]string{
		"a program that ends":   "{command: [PROGRAM], env: {AK_TEST_PARROT: exit, API_TOKEN: \"%{env}\"}}",
		"a program that is not": "{command: [/nowhere/prog, \"--token=%{argument}\"], env: {API_TOKEN: \"%{env}\"}}",
		"a wrong address":       "{url: \"HOST/tool?how=echo401&token=%{url}\", headers: {Authorization: \"Bearer %{headers}\"}}",
		"a broken address":      "{url: \"HOST/tool?how=echo500&token=%{url}\", headers: {Authorization: \"Bearer %{headers}\"}}",
		"nobody":                "{url: \"http://u:%{url}@127.0.0.1:1/?token=%{url}\", headers: {Authorization: \"Bearer %{headers}\"}}",
	} {
		fill := strings.NewReplacer("HOST", p.web.URL, "PROGRAM", os.Args[0])
		dir := folder(t, c.in(fill.Replace("log: {level: debug}\nsession: {type: in_memory}\nproviders: {o: {type: scripted}}\n"+
			"tools: [{name: t, effect: read_only, mcp: "+spec+"}]\nagents: [{name: a, model: o/m, tools: [t]}]\n")))
		p := launch(t, dir, nil, "serve", "--port", "0")
		if code := p.exit(); code != fault.ExitConfig && code != fault.ExitUnavailable {
			t.Errorf("%s: exit code %d", name, code)
		}
		c.see(name, p.said())
	}
	c.check()
}

// TestATokenIsNowhere has a server check tokens whose issuer is down, and then repeats what it is asked.
func TestATokenIsNowhere(t *testing.T) {
	c := &canaries{t: t, texts: map[string]string{}}
	p := newParrot(t, c)
	for name, keys := range map[string]string{"down": "http://127.0.0.1:1/keys?token=%{jwks_url}", "echo": p.web.URL + "/tool?how=echo503&token=%{jwks_url}", "text": p.web.URL + "/tool?how=echo200&token=%{jwks_url}"} {
		dir := folder(t, c.in("log: {level: debug}\nsession: {type: in_memory}\nproviders: {o: {type: scripted}}\nagents: [{name: a, model: o/m}]\n"+
			"auth: {mode: jwt, jwt: {issuer: \"http://127.0.0.1:1\", audience: a, jwks_url: \""+keys+"\"}}\n"))
		s := &canaryServer{canaries: c, process: startServer(t, dir)}
		for _, token := range []string{
			"eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ.%{payload}.%{signature}", "%{token}", "eyJhbGciOiJub25lIiwia2lkIjoiayJ9.%{payload}.", "a.%{payload}.b.c",
		} {
			s.ask(http.MethodPost, "/api/v1/chat", `{"prompt": "hello"}`, "Authorization", "Bearer "+c.in(token))
			s.ask(http.MethodGet, "/health?verbose", "", "Authorization", "Bearer "+c.in(token))
		}
		s.await("does not give its keys")
		s.signal(syscall.SIGTERM)
		s.exit()
		c.see("the log, "+name, s.said())
	}
	c.check()
}
