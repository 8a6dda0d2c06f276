package main

import (
	"encoding/json"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/agentkernel/agentkernel/fault"
)

// makeKey is what ak auth key makes.
func makeKey(t *testing.T, args ...string) (k newKey) {
	t.Helper()
	out, err := exec.Command(akBinary, append([]string{"auth", "key", "-o", "json"}, args...)...).Output()
	if err != nil || json.Unmarshal(out, &k) != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return k
}

func TestCallersNeedAKeyAndSIGHUPTakesNewOnes(t *testing.T) {
	first, second := makeKey(t, "--id", "first", "--roles", "user,operator"), makeKey(t, "--id", "second", "--tenant", "acme")
	text := func(keys ...newKey) string {
		s := "session: {type: in_memory}\nproviders: {o: {type: scripted}}\nagents: [{name: a, model: o/m}]\nauth:\n  mode: api_key\n  keys:\n"
		for _, k := range keys {
			tenant := ""
			if k.Tenant != "" {
				tenant = ", tenant: " + k.Tenant
			}
			s += "    - {id: " + k.ID + ", hash: \"" + k.Hash + "\"" + tenant + ", roles: [" + strings.Join(k.Roles, ", ") + "]}\n"
		}
		return s
	}
	dir := folder(t, text(first))
	p := startServer(t, dir)
	try := func(name, key string, want int) {
		t.Helper()
		cmd := exec.Command(akBinary, "chat", "--url", p.url, "hello")
		cmd.Dir, cmd.Env = dir, []string{envAPIKey + "=" + key}
		out, err := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != want || key != "" && strings.Contains(string(out), key) {
			t.Errorf("%s: exit code %d, %v: %s", name, code, err, out)
		}
	}
	try("no key", "", fault.ExitDenied)
	try("the first", first.Key, 0)
	try("the second, early", second.Key, fault.ExitDenied)
	if _, errs, code := p.ak("agents", "--api-key", first.Key); code != 0 {
		t.Errorf("a flag: %d %s", code, errs)
	}
	if _, _, code := p.ak("health"); code != 0 {
		t.Errorf("health needs no key: %d", code)
	}

	write(t, filepath.Join(dir, "config.yaml"), text(second))
	p.signal(syscall.SIGHUP)
	p.await(`secrets and log level were reloaded"`)
	try("the first, late", first.Key, fault.ExitDenied)
	try("the second", second.Key, 0)
	if strings.Contains(p.said(), first.Key) || strings.Contains(p.said(), second.Key) {
		t.Error("the log shows a key")
	}
}

func TestTheAdminListenerIsOnLoopbackAndOffUnlessAsked(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	if err := ln.Close(); err != nil { // free again, and nobody else's in a moment
		t.Fatal(err)
	}
	dir := quickConfig(t, "127.0.0.1:1")
	p := serverWith(t, dir, "--set", "admin.port="+port)
	admin := &process{t: t, url: "http://127.0.0.1:" + port}
	for path, want := range map[string]int{"/debug/vars": http.StatusOK, "/debug/pprof/": http.StatusOK, "/api/v1/agents": http.StatusNotFound} {
		if got, err := admin.status(path); got != want || err != nil {
			t.Errorf("%s: %d, %v", path, got, err)
		}
	}
	if got, err := p.status("/debug/vars"); got != http.StatusNotFound || err != nil {
		t.Errorf("the API has it too: %d, %v", got, err)
	}
	second := launch(t, dir, nil, "serve", "--port", "0", "--set", "admin.port="+port)
	if code := second.exit(); code != fault.ExitUnavailable || !strings.Contains(second.said(), "admin.port") {
		t.Errorf("a second one: exit code %d, %s", code, second.said())
	}
	p.signal(syscall.SIGTERM)
	if code := p.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
