package chaos

import (
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
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
			l := startLoad(t, &load{of: f.server, place: p, clients: 4, tools: everyTool, patience: 30 * time.Second})
			for _, to := range roll.replaced {
				l.more(t, 30)
				if v := p.versions(f.server(1)); roll.begin == today && to.server == 1 && !slices.Equal(v, []int{1}) {
					t.Errorf("records have versions %v while a replica reads 1 only", v)
				}
				f.replace(to.server, to.release)
			}
			l.more(t, 30)
			l.stop()
			l.judge(t, f.servers[1], 4*2+1)
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
