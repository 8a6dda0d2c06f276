package chaos

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/session"
)

// The builds of a rollout are made by tags: today's release, the one that also reads records of version 2, and the one
// that writes them. See session/format.go.
const (
	today  = ""
	reads2 = "akformat2"
	write2 = "akformat2w"
)

type replacement struct {
	server  int
	release string
}

// TestAFleetIsRolledBetweenTwoReleasesUnderLoad replaces the processes of a fleet one by one, each with SIGTERM, while
// clients go on: every turn ends once, no call is made twice or left in doubt, and nobody is told of a failure.
func TestAFleetIsRolledBetweenTwoReleasesUnderLoad(t *testing.T) {
	for _, release := range []string{today, reads2, write2} {
		binaryOf(t, release) // before there is load
	}
	for _, roll := range []struct {
		name     string
		begin    string
		replaced []replacement // one after the other
		versions []int         // of the records, in the end
	}{
		{"to one that reads more, and back", today, []replacement{{0, reads2}, {1, reads2}, {0, today}, {1, today}}, []int{1}},
		{"to one that writes more, and back", reads2, []replacement{{0, write2}, {1, write2}, {0, reads2}, {1, reads2}}, []int{1, 2}},
		// A release should not be left out. Forward, the newer one still writes what the older one reads; backward, the older
		// one leaves to the newer one what it cannot read.
		{"past a release, and half the way back", today, []replacement{{0, write2}, {1, write2}, {0, today}, {0, write2}}, []int{1, 2}},
	} {
		t.Run(roll.name, func(t *testing.T) {
			p := newPlace(t, world{lease: "3s", timeout: "20s", agents: basic.agents})
			p.desk.takes = 20 * time.Millisecond
			f := &fleet{p: p}
			for range 2 {
				f.servers = append(f.servers, p.serveWith(roll.begin, ""))
			}
			l := f.load(t)
			for _, to := range roll.replaced {
				l.more(t, 30)
				if v := p.versions(f.server(1)); roll.begin == today && to.server == 1 && !slices.Equal(v, []int{1}) {
					t.Errorf("records have versions %v while a replica reads 1 only", v)
				}
				f.replace(to.server, to.release)
			}
			l.more(t, 30)
			l.stop()
			l.judge(t, f.servers[1])
			last := roll.replaced[len(roll.replaced)-1].release
			if v := p.versions(f.servers[1]); !slices.Equal(v, roll.versions) {
				t.Errorf("the records have versions %v, want %v: the test shows nothing", v, roll.versions)
			}
			p.verify(last)
			if out, err := p.verified(today); (err == nil) != (len(roll.versions) == 1) {
				t.Errorf("ak verify of the first release: %v\n%s", err, out)
			}
		})
	}
}

// fleet are the servers of a place, as clients know them.
type fleet struct {
	p       *place
	mu      sync.Mutex
	servers []*server
}

func (f *fleet) server(n int) *server {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.servers[n%len(f.servers)]
}

// replace drains a server and puts one of another release in its place.
func (f *fleet) replace(i int, release string) {
	f.p.t.Helper()
	old := f.server(i)
	old.signal(syscall.SIGTERM)
	old.waitDead()
	if code := old.cmd.ProcessState.ExitCode(); code != 0 {
		f.p.t.Errorf("the drained server ended with %d", code)
	}
	next := f.p.serveWith(release, "")
	f.mu.Lock()
	defer f.mu.Unlock()
	f.servers[i] = next
}

const (
	clients  = 4
	patience = 30 * time.Second // of a client with one request
)

// load is a steady number of clients. Each has two sessions of its own, and all share one.
type load struct {
	f    *fleet
	quit context.CancelFunc
	over sync.WaitGroup
	done atomic.Int64

	mu     sync.Mutex
	said   map[string][]string // prompts by session, in the order in which they were answered
	turns  map[string]string   // prompts by turn
	again  int                 // requests that were sent once more
	wrongs []string
}

func (f *fleet) load(t *testing.T) *load {
	l := &load{f: f, said: map[string][]string{}, turns: map[string]string{}}
	c, quit := context.WithCancel(t.Context())
	l.quit = quit
	for n := range clients {
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
	if i%5 == 4 {
		where = "shared"
	}
	tool := everyTool[i%len(everyTool)]
	key := fmt.Sprintf("%d-%d", client, i)
	prompt := "use " + tool + " " + key
	c, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond) // between two tries
	defer tick.Stop()
	for try := 0; ; try++ {
		a, err := l.f.server(client+i+try).post(c, "/api/v1/chat", key, map[string]any{"session_id": where, "prompt": prompt})
		switch {
		case c.Err() != nil:
			l.wrong("%s was not answered in time: %d %+v, %v", prompt, a.status, a, err)
			return
		case err == nil && a.status == http.StatusOK:
			l.answered(where, prompt, tool, a)
			return
		case err == nil && !again(a):
			l.wrong("%s: %d %+v", prompt, a.status, a)
			return
		}
		l.mu.Lock()
		l.again++
		l.mu.Unlock()
		<-tick.C
	}
}

// again reports whether an answer says to ask once more.
func again(a answer) bool {
	return a.status == http.StatusServiceUnavailable || a.status == http.StatusGatewayTimeout || a.status == http.StatusAccepted && a.Waiting == nil
}

func (l *load) answered(where, prompt, tool string, a answer) {
	if a.Result != "used "+tool+": done" {
		l.wrong("%s: %+v", prompt, a)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
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
func (l *load) judge(t *testing.T, s *server) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	t.Logf("%d turns, %d requests were sent again", len(l.turns), l.again)
	for i, w := range l.wrongs {
		if i < 10 {
			t.Error(w)
		}
	}
	if len(l.said) != clients*2+1 {
		t.Errorf("there are %d sessions", len(l.said))
	}
	taken := 0
	for where, prompts := range l.said {
		journal := s.journal(where)
		taken += count(journal, func(e session.Event) bool { return e.Claim != nil && e.Claim.Cause == "takeover" })
		for what, want := range map[session.EventType]int{
			session.TurnAccepted: len(prompts), session.TurnCompleted: len(prompts),
			session.TurnFailed: 0, session.TurnCancelled: 0, session.TurnWaiting: 0, session.StepInDoubt: 0,
		} {
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
	l.f.p.desk.judge(t, len(l.turns))
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

// judge looks whether each call took place once, under one key.
func (d *desk) judge(t *testing.T, turns int) {
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
	if len(keys) != turns {
		t.Errorf("%d calls in %d turns", len(keys), turns)
	}
}

// versions are the versions of all records.
func (p *place) versions(s *server) (all []int) {
	p.t.Helper()
	var list struct {
		Sessions []struct {
			ID string `json:"session_id"`
		} `json:"sessions"`
	}
	s.read("/api/v1/sessions?limit=1000", &list)
	for _, each := range list.Sessions {
		for _, b := range s.journal(each.ID) {
			if !slices.Contains(all, b.V) {
				all = append(all, b.V)
			}
		}
	}
	slices.Sort(all)
	return all
}
