package server

import (
	"strings"
	"testing"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/telemetry"
)

// The metrics fit both observers without knowing either package.
var (
	_ agentkernel.Observer = (*telemetry.Metrics)(nil)
	_ Observer             = (*telemetry.Metrics)(nil)
)

func TestWhatIsServedIsCounted(t *testing.T) {
	m := telemetry.New("1.2.3")
	x := newSite(t, func(kc *agentkernel.Config, sc *Config) {
		kc.Observer, sc.Observer, sc.Metrics = m, m, m.Handler()
	})
	as[ChatReply](t, x.chat(`{"prompt":"hello"}`), 200)
	x.open("POST", "/api/v1/chat", `{"prompt":"hello"}`).rest()
	r := x.do("GET", "/metrics", "")
	if r.StatusCode != 200 || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/plain") {
		t.Fatalf("%d %v", r.StatusCode, r.Header)
	}
	for _, line := range []string{`ak_turns_accepted_total{agent="scripted"} 2`, `ak_steps_total{agent="scripted",code="",kind="model",name="scripted/one"} 2`} {
		if !strings.Contains(string(r.body), line+"\n") {
			t.Errorf("no line %s in\n%s", line, r.body)
		}
	}
	problem(t, x.do("POST", "/metrics", ""), 405, "unsupported")
}
