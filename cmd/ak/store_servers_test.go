//go:build unix

package main

import (
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/agentkernel/agentkernel/internal/servers"
)

// onStore runs a command beside the configuration of a store, and returns what it wrote and its exit code.
func onStore(t *testing.T, dir string, args string) (string, int) {
	t.Helper()
	cmd := exec.Command(akBinary, strings.Fields(args)...)
	cmd.Dir = dir
	cmd.Env = []string{"AWS_ACCESS_KEY_ID=k", "AWS_SECRET_ACCESS_KEY=s", "AWS_EC2_METADATA_DISABLED=true", "HOME=" + dir}
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// TestEveryStoreIsMadeReadyDescribedExaminedAndServed goes the way of docs/stores.md on each real server: init twice, info,
// doctor, two replicas that see each other, and verify.
func TestEveryStoreIsMadeReadyDescribedExaminedAndServed(t *testing.T) {
	for name, start := range map[string]func(*testing.T) string{
		"redis": func(t *testing.T) string {
			r := servers.Redis(t, "--appendonly", "yes", "--maxmemory-policy", "noeviction")
			return `redis, redis: {url: "redis://` + r.Addr + `/0"}`
		},
		"postgres": func(t *testing.T) string { return `postgres, postgres: {url: "` + servers.Postgres(t).URL() + `"}` },
		"dynamodb": func(t *testing.T) string {
			return `dynamodb, dynamodb: {table_name: ours, region: eu-central-1, endpoint: "` + servers.Dynalite(t).Endpoint + `"}`
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t, "session: {type: "+start(t)+"}\nexecution: {lease_ttl: 1s, sweep_interval: 100ms, drain: {delay: 0s, timeout: 10s}}\n"+
				"providers: {offline: {type: scripted}}\nagents: [{name: assistant, model: offline/demo}]\n")
			expect := func(args string, code int, parts ...string) {
				t.Helper()
				out, got := onStore(t, dir, args)
				if got != code {
					t.Errorf("ak %s: exit code %d\n%s", args, got, out)
				}
				for _, part := range parts {
					if !strings.Contains(out, part) {
						t.Errorf("ak %s says no %q in\n%s", args, part, out)
					}
				}
			}
			first, _ := onStore(t, dir, "store init")
			if !strings.Contains(first, "ade ") || !strings.Contains(first, "the "+name+" store is ready: format 1, generation 1\n") {
				t.Errorf("the first init says\n%s", first)
			}
			expect("store init", 0, "nothing to do\n", "the "+name+" store is ready")
			expect("store info", 0, name+": ", "process_crash ", "generation 1")
			expect("doctor --set api.port=0", 0, "a session was written, read and erased in ", " 0 that fail")

			env := []string{"AWS_ACCESS_KEY_ID=k", "AWS_SECRET_ACCESS_KEY=s", "AWS_EC2_METADATA_DISABLED=true"}
			a, b := startServer(t, dir, append(env, "AK_EXECUTION__ZONE=za")...), startServer(t, dir, append(env, "AK_EXECUTION__ZONE=zb")...)
			if got := a.mustAnswer("my name is Ada", "k1")["result"]; !strings.Contains(got.(string), "Ada") {
				t.Errorf("the answer is %v", got)
			}
			again := b.mustAnswer("my name is Ada", "k1")["result"]
			if !strings.Contains(again.(string), "Ada") {
				t.Errorf("the other replica answers %v to the same key", again)
			}
			eventually(t, func() bool {
				out, _, _ := a.ak("replicas")
				return strings.Contains(out, " za ") && strings.Contains(out, " zb ") && !strings.Contains(out, "drift")
			})
			if h := a.page("/health?verbose"); !strings.Contains(h, `"store":"`+name+`"`) || !strings.Contains(h, `"process_crash":{"loses":`) {
				t.Errorf("health says %s", h)
			}
			for _, p := range []*process{a, b} {
				p.signal(syscall.SIGTERM)
				if code := p.exit(); code != 0 {
					t.Errorf("exit code %d", code)
				}
			}
			expect("verify", 0, "1 session(s), ", " 1 sound, 0 not")
		})
	}
}

// TestADoctorRefusesARedisThatDropsSessions: with a limit of memory and a policy that evicts, acknowledged turns vanish.
func TestADoctorRefusesARedisThatDropsSessions(t *testing.T) {
	r := servers.Redis(t, "--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru", "--appendonly", "no")
	dir := folder(t, `session: {type: redis, redis: {url: "redis://`+r.Addr+`"}}`+"\nproviders: {o: {type: scripted}}\nagents: [{name: a, model: o/m}]\n")
	out, code := onStore(t, dir, "doctor --set api.port=0")
	if code != 1 || !strings.Contains(out, "fail  eviction ") || !strings.Contains(out, "noeviction") || !strings.Contains(out, "  persistence ") {
		t.Errorf("exit code %d\n%s", code, out)
	}
}
