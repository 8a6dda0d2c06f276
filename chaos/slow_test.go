//go:build unix

package chaos

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel/internal/servers"
	"github.com/agentkernel/agentkernel/session"
)

// TestASlowStoreSlowsTurnsAndNothingElse: each answer of the store takes a second more, so that a call over a new connection
// takes two. Turns take longer and complete,
// nobody loses its lease or is taken over, and the probes are as quick as ever.
func TestASlowStoreSlowsTurnsAndNothingElse(t *testing.T) {
	r := servers.Redis(t, "--appendonly", "yes", "--appendfsync", "always")
	w := newWires(t, strings.TrimPrefix(r.URL, "redis://"))
	st := &store{name: "redis", block: func(t *testing.T, _ *place) string {
		address, err := w.next()
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("type: redis, accept_loss: true, redis: {url: \"redis://%s\", prefix: \"slow:\"}", address)
	}}
	p := newPlace(t, world{store: st, lease: "5s", timeout: "60s", agents: basic.agents})
	s := p.serve("")
	other := p.serve("")
	if a := p.say(s, "talk", "first", "hello"); a.status != http.StatusOK {
		t.Fatalf("%+v", a)
	}
	const latency = `{"type":"latency","stream":"downstream","attributes":{"latency":1000}}`
	for _, proxy := range w.all {
		if _, err := proxy.Toxics.AddToxicJson(strings.NewReader(latency)); err != nil {
			t.Fatal(err)
		}
	}
	slowed := time.Now()
	done := make(chan answer, 1)
	go func() {
		a, _ := s.chat(ctx(t), "k", "use once")
		done <- a
	}()
	s.probes(t)
	other.probes(t)
	a := <-done
	t.Logf("a turn with a tool call took %s", time.Since(slowed).Round(time.Millisecond))
	eventually(t, "three leases are over", func() bool { return time.Since(slowed) > 15*time.Second })
	if a.status != http.StatusOK || a.Result != "used once: done" {
		t.Errorf("the turn: %+v", a)
	}
	for _, one := range []*server{s, other} {
		one.probes(t)
		if one.degraded(t) {
			t.Error("a server whose store is slow calls it disconnected")
		}
	}
	if n := count(s.journal("s"), func(e session.Event) bool { return e.Claim != nil && e.Claim.Cause == "takeover" }); n != 0 {
		t.Errorf("%d takeovers of an owner that lives", n)
	}
}
