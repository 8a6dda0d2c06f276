package chaos

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/session"
)

// outageStores are those whose server these tests may freeze and kill.
var outageStores = networkStores

// answeredSoon bounds an answer that waits for nothing, on a machine that has very much else to do. What it took is
// printed: it should be less than a second.
const answeredSoon = 5 * time.Second

// TestWhileItsStoreIsAwayAServerRefusesAndGoesOnAfterwards freezes the store's server for longer than a lease, or kills
// it and starts it again on its data, while a turn runs: new requests are refused, the probes answer, the running turn
// goes on by itself, each request that may have been written is found by its key, and every history is as it was.
func TestWhileItsStoreIsAwayAServerRefusesAndGoesOnAfterwards(t *testing.T) {
	onStore(t, outageStores, func(t *testing.T, st *store) {
		t.Run("frozen", func(t *testing.T) { outage(t, st, st.freeze, st.thaw) })
		if st.kill == nil {
			return
		}
		t.Run("killed", func(t *testing.T) { outage(t, st, st.kill, st.restart) })
	})
}

func outage(t *testing.T, st *store, begin, end func()) {
	p := newPlace(t, world{store: st, lease: "2s", timeout: "60s", agents: basic.agents})
	s := p.serve("")
	p.serve("") // which must not take over from one that only cannot show that it lives
	const talks = 3
	for i := range talks {
		if a := p.say(s, fmt.Sprint("talk-", i), "first", fmt.Sprint("first ", i)); a.status != http.StatusOK {
			t.Fatalf("%+v", a)
		}
	}
	p.desk.hold = make(chan struct{})
	running := make(chan answer, 1)
	go func() {
		a, _ := s.chat(ctx(t), "k", "use once")
		running <- a
	}()
	p.desk.wait(t)

	began := time.Now()
	begin()
	var once sync.Once
	resume := func() { once.Do(end) }
	defer resume()   // a frozen server cannot be ended well
	p.desk.release() // the turn has its result, and nowhere to put it
	eventually(t, "the server knows that its store is away", func() bool { return s.degraded(t) })
	refused, unknown := p.refusals(s, talks)
	s.probes(t)
	eventually(t, "two leases are over", func() bool { return time.Since(began) > 4*time.Second })
	resume()
	ended := time.Now()

	eventually(t, "the store is back", func() bool { return !s.degraded(t) })
	t.Logf("the server goes on %s after the store's return", time.Since(ended).Round(time.Millisecond))
	a := p.finish(s, "k", "use once", "run_again")
	if first := <-running; first.status == http.StatusOK && first != a {
		t.Errorf("the running turn's client was told %+v, and later %+v", first, a)
	}
	if most, keys := p.desk.effects(); a.Result != "used once: done" || most != 1 || keys != 1 {
		t.Errorf("the turn that ran: %+v, %d effects, %d keys", a, most, keys)
	}
	taken := count(s.journal("s"), func(e session.Event) bool { return e.Claim != nil && e.Claim.Cause == "takeover" })
	t.Logf("refused: %s; unknown: %s; %d takeovers", spread(refused), spread(unknown), taken)
	p.judgeTalks(s, talks)
	p.verify("")
}

// say sends a prompt into a session until it is answered with something else than "later"; a broken connection is a
// failure here.
func (p *place) say(s *server, where, key, prompt string) answer {
	p.t.Helper()
	var a answer
	eventually(p.t, "the server answers "+prompt, func() bool {
		var err error
		if a, err = s.post(ctx(p.t), "/api/v1/chat", where+key, map[string]any{"session_id": where, "prompt": prompt}); err != nil {
			p.t.Fatalf("%s: %v", prompt, err)
		}
		return !again(a)
	})
	return a
}

// degraded reads the server's health, which must be there whatever its store does.
func (s *server) degraded(t *testing.T) bool {
	t.Helper()
	var h struct {
		Status  string `json:"status"`
		Backend string `json:"memory_backend"`
	}
	s.read("/health", &h)
	if (h.Status == "degraded") != (h.Backend == "disconnected") || h.Status == "unhealthy" {
		t.Errorf("the server is %s, and its store %s", h.Status, h.Backend)
	}
	return h.Status == "degraded"
}

// refusals sends the next prompt into each conversation, and others into new sessions, and returns how long those took
// that were refused, and those of which it is not known. Who comes first may have to find out, with the time-out of the
// store, that it does not answer; those after it are refused at once.
func (p *place) refusals(s *server, talks int) (refused, unknown []time.Duration) {
	t := p.t
	t.Helper()
	const requests = 21
	for i := range requests {
		where, key := fmt.Sprint("talk-", i), "second"
		if i >= talks {
			where, key = fmt.Sprint("new-", i), "only"
		}
		began := time.Now()
		a, err := s.post(ctx(t), "/api/v1/chat", where+key, map[string]any{"session_id": where, "prompt": fmt.Sprint(key, " ", i)})
		took := time.Since(began)
		switch {
		case err != nil:
			t.Errorf("request %d: %v", i, err)
			continue
		case a.status == http.StatusGatewayTimeout && a.Code == "outcome_unknown":
			unknown = append(unknown, took)
		case a.status == http.StatusServiceUnavailable && a.after != "":
			if i == 0 {
				t.Logf("the first request was refused after %s", took.Round(time.Millisecond))
				continue
			}
			refused = append(refused, took)
		default:
			t.Errorf("request %d: %d, Retry-After %q, %+v", i, a.status, a.after, a)
		}
		if i > 0 && took > answeredSoon {
			t.Errorf("request %d was answered with %d after %s", i, a.status, took)
		}
	}
	if len(refused) < requests-2 {
		t.Errorf("only %d of %d requests were refused, while the server knew that its store is away", len(refused), requests)
	}
	return refused, unknown
}

// probes looks whether the server shows that it lives.
func (s *server) probes(t *testing.T) {
	t.Helper()
	for _, path := range []string{"/livez", "/readyz", "/health"} {
		var took []time.Duration
		for range 20 {
			c, cancel := context.WithTimeout(t.Context(), answeredSoon)
			began := time.Now()
			a, err := s.get(c, path)
			cancel()
			took = append(took, time.Since(began))
			if err != nil || a.status != http.StatusOK {
				t.Fatalf("%s: %d, %v", path, a.status, err)
			}
		}
		t.Logf("%s: %s", path, spread(took))
	}
}

// judgeTalks sends again what was refused, and looks whether each conversation has its old and its new turn, once each.
func (p *place) judgeTalks(s *server, talks int) {
	t := p.t
	t.Helper()
	for i := range talks {
		where := fmt.Sprint("talk-", i)
		if a := p.say(s, where, "second", fmt.Sprint("second ", i)); a.status != http.StatusOK || a.Result != fmt.Sprint("you said second ", i) {
			t.Errorf("%s: %+v", where, a)
		}
		var talk struct {
			Messages []model.Message `json:"messages"`
		}
		s.read("/api/v1/sessions/"+where+"/messages", &talk)
		var said []string
		for _, m := range talk.Messages {
			said = append(said, m.Text())
		}
		if want := []string{fmt.Sprint("first ", i), fmt.Sprint("you said first ", i), fmt.Sprint("second ", i), fmt.Sprint("you said second ", i)}; !slices.Equal(said, want) {
			t.Errorf("%s: the conversation is %q, want %q", where, said, want)
		}
		journal := s.journal(where)
		if n := count(journal, func(e session.Event) bool { return e.Type == session.TurnAccepted }); n != 2 || journal[0].Life != journal[len(journal)-1].Life {
			t.Errorf("%s: %d turns: %s", where, n, mustJSON(journal))
		}
	}
}

// spread says how long something took.
func spread(took []time.Duration) string {
	if len(took) == 0 {
		return "none"
	}
	slices.Sort(took)
	round := func(d time.Duration) time.Duration { return d.Round(time.Millisecond / 10) }
	return fmt.Sprintf("%d times, p50 %s, max %s", len(took), round(took[len(took)/2]), round(took[len(took)-1]))
}
