package chaos

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/session"
)

// load is a steady number of clients. Each has two sessions of its own, and all share one.
type load struct {
	of       func(n int) *server // whom a request is sent to
	place    *place
	clients  int
	tools    []string
	patience time.Duration // of a client with one request
	alone    bool          // each client has one session of its own, and none is shared
	kills    bool          // a call may have been interrupted, and its reply says so
	streams  bool          // every other client reads a stream

	quit   context.CancelFunc
	over   sync.WaitGroup
	done   atomic.Int64
	asking atomic.Int64 // requests that wait for their answer

	mu         sync.Mutex
	said       map[string][]string // prompts by session, in the order in which they were answered
	turns      map[string]string   // prompts by turn
	again      map[string]int      // requests that were sent once more, by why
	told, cuts int                 // streams, and their connections that ended too early
	not        int                 // calls that did not take place
	maybe      int                 // calls of which that is not known
	wrongs     []string
}

func startLoad(t *testing.T, l *load) *load {
	l.said, l.turns, l.again = map[string][]string{}, map[string]string{}, map[string]int{}
	c, quit := context.WithCancel(t.Context())
	l.quit = quit
	for n := range l.clients {
		l.over.Go(func() {
			for i := 0; c.Err() == nil; i++ {
				l.ask(n, i)
			}
		})
	}
	t.Cleanup(l.stop)
	return l
}

func (l *load) stop() {
	l.quit()
	l.over.Wait()
}

// more waits until so many further turns have ended.
func (l *load) more(t *testing.T, turns int64) {
	t.Helper()
	until := l.done.Load() + turns
	eventually(t, "the clients get answers", func() bool { return l.done.Load() >= until })
}

// ask sends one request until it is answered, first to one server and then to the other.
func (l *load) ask(client, i int) {
	where := fmt.Sprintf("c%d-%d", client, i%2)
	switch {
	case l.alone:
		where = fmt.Sprintf("c%d", client)
	case i%5 == 4:
		where = "shared"
	}
	tool := l.tools[(client+i)%len(l.tools)]
	key := fmt.Sprintf("%d-%d", client, i)
	prompt := "use " + tool + " " + key
	c, cancel := context.WithTimeout(context.Background(), l.patience)
	defer cancel()
	l.asking.Add(1)
	defer l.asking.Add(-1)
	if l.streams && client%2 == 1 {
		l.stream(c, where, tool, key, prompt)
		return
	}
	tick := time.NewTicker(50 * time.Millisecond) // between two tries
	defer tick.Stop()
	for try := 0; ; try++ {
		a, err := l.of(client+i+try).post(c, "/api/v1/chat", key, map[string]any{"session_id": where, "prompt": prompt})
		switch {
		case c.Err() != nil:
			l.wrong("%s was not answered in time: %d %+v, %v", prompt, a.status, a, err)
			return
		case err == nil && a.status == http.StatusOK:
			l.answered(where, prompt, tool, a)
			return
		case err == nil && l.kills && tool == "refuse" && a.Waiting != nil && a.Waiting.Reason == "in_doubt":
			// It was interrupted twice, and asks. The tool refuses a key that it has seen, so to say yes is safe.
			_, _ = l.of(0).post(c, "/api/v1/turns/"+a.Turn+"/resolve", "", map[string]any{"outcome": "run_again"})
		case err == nil && !again(a):
			l.wrong("%s: %d %s", prompt, a.status, mustJSON(a))
			return
		}
		why := fmt.Sprint(a.status)
		if err != nil {
			why = "broken"
		}
		l.mu.Lock()
		l.again[why]++
		l.mu.Unlock()
		<-tick.C
	}
}

// again reports whether an answer says to ask once more.
func again(a answer) bool {
	return a.status == http.StatusBadGateway && a.Code == "" || // HAProxy's
		a.status == http.StatusServiceUnavailable || a.status == http.StatusGatewayTimeout || a.status == http.StatusAccepted && a.Waiting == nil
}

func (l *load) answered(where, prompt, tool string, a answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch became, _ := strings.CutPrefix(a.Result, "used "+tool+": "); {
	case became == "done":
	case l.kills && tool == "once" && became == "Error: the call was interrupted and did not take place":
		l.not++
	case l.kills && tool == "tell" && strings.HasPrefix(became, "Error: it is not known whether the call took place"):
		l.maybe++
	default:
		l.wrongs = append(l.wrongs, fmt.Sprintf("%s: %+v", prompt, a))
	}
	if other := l.turns[a.Turn]; other != "" {
		l.wrongs = append(l.wrongs, fmt.Sprintf("turn %s answers %q and %q", a.Turn, other, prompt))
	}
	l.turns[a.Turn] = prompt
	l.said[where] = append(l.said[where], prompt)
	l.done.Add(1)
}

func (l *load) wrong(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wrongs = append(l.wrongs, fmt.Sprintf(format, args...))
}

// judge compares what the clients were told with the journals, the conversations and what the tools did.
func (l *load) judge(t *testing.T, s *server, sessions int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	t.Logf("%d turns; requests that were sent again, by why: %v; %d calls did not take place, of %d it is not known", len(l.turns), l.again, l.not, l.maybe)
	for i, w := range l.wrongs {
		if i < 10 {
			t.Error(w)
		}
	}
	if len(l.said) != sessions {
		t.Errorf("there are %d sessions, want %d", len(l.said), sessions)
	}
	taken := 0
	for where, prompts := range l.said {
		journal := s.journal(where)
		taken += count(journal, func(e session.Event) bool { return e.Claim != nil && e.Claim.Cause == "takeover" })
		for what, want := range map[session.EventType]int{
			session.TurnAccepted: len(prompts), session.TurnCompleted: len(prompts),
			session.TurnFailed: 0, session.TurnCancelled: 0, session.TurnWaiting: 0, session.StepInDoubt: 0,
		} {
			if l.kills && (what == session.StepInDoubt || what == session.TurnWaiting) {
				continue
			}
			if n := count(journal, func(e session.Event) bool { return e.Type == what }); n != want {
				t.Errorf("session %s: %d × %s, want %d", where, n, what, want)
			}
		}
		l.judgeConversation(t, s, where, prompts)
		if t.Failed() {
			t.Logf("session %s: %s", where, mustJSON(journal))
			return
		}
	}
	t.Logf("%d claims were takeovers", taken)
	calls := len(l.turns) - l.not
	l.place.desk.judge(t, calls-l.maybe, calls)
}

// judgeConversation reads a session's conversation: each prompt once, in the order of the answers where one client waits
// for one before it sends the next, each with its call, its result and its reply.
func (l *load) judgeConversation(t *testing.T, s *server, where string, prompts []string) {
	t.Helper()
	var talk struct {
		Messages []model.Message `json:"messages"`
	}
	s.read("/api/v1/sessions/"+where+"/messages", &talk)
	var heard []string
	for i, m := range talk.Messages {
		want := []model.Role{model.User, model.Assistant, model.ToolRole, model.Assistant}[i%4]
		if m.Role != want {
			t.Errorf("session %s: message %d is of %s, want %s", where, i, m.Role, want)
			return
		}
		if m.Role == model.User {
			heard = append(heard, m.Text())
		}
	}
	if len(talk.Messages)%4 != 0 {
		t.Errorf("session %s: the last turn has %d messages", where, len(talk.Messages)%4)
	}
	if where == "shared" {
		prompts = slices.Sorted(slices.Values(prompts))
		slices.Sort(heard)
	}
	if !slices.Equal(heard, prompts) {
		t.Errorf("session %s: the conversation is %q, want %q", where, heard, prompts)
	}
}

// judge looks whether each call took place once, under one key, and how many did.
func (d *desk) judge(t *testing.T, least, most int) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	keys := map[string]string{} // by arguments, which no other call has
	for key, list := range d.charges {
		if other := keys[list[0]]; other != "" {
			t.Errorf("a call with %s was sent under the keys %s and %s", list[0], other, key)
		}
		if keys[list[0]] = key; len(list) > 1 {
			t.Errorf("a call with %s took place %d times", list[0], len(list))
		}
	}
	if len(keys) < least || len(keys) > most {
		t.Errorf("%d calls, want %d to %d", len(keys), least, most)
	}
}
