package chaos

import (
	"context"
	"encoding/csv"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/agentkernel/agentkernel/internal/servers"
)

// balanced are replicas behind HAProxy, which is configured as docs/haproxy.md says.
type balanced struct {
	p     *place
	front *server // HAProxy, as a client sees it
	state string  // where it tells of its backends
	apart bool
	ports []int

	mu      sync.Mutex
	servers []*server
}

// backends are the servers in the documented configuration.
const backends = 3

// documentedDelay is the drain.delay that goes with it.
const documentedDelay = "5s"

func (p *place) balanced(apart bool) *balanced {
	t := p.t
	t.Helper()
	b := &balanced{p: p, apart: apart}
	front, state := servers.Port(t), servers.Port(t)
	b.front = &server{p: p, url: fmt.Sprintf("http://127.0.0.1:%d", front)}
	b.state = fmt.Sprintf("http://127.0.0.1:%d/;csv", state)
	ports := []string{"127.0.0.1:8080", fmt.Sprintf("127.0.0.1:%d", front), "127.0.0.1:8404", fmt.Sprintf("127.0.0.1:%d", state)}
	for i := range backends {
		b.ports = append(b.ports, servers.Port(t))
		ports = append(ports, fmt.Sprintf("127.0.0.1:%d", 8001+i), fmt.Sprintf("127.0.0.1:%d", b.ports[i]))
		b.servers = append(b.servers, p.start(launch{port: b.ports[i], apart: apart}))
	}
	config := documented(t)
	for i := 0; i < len(ports); i += 2 {
		if !strings.Contains(config, ports[i]) {
			t.Fatalf("docs/haproxy.md has no %s", ports[i])
		}
	}
	servers.HAProxy(t, strings.NewReplacer(ports...).Replace(config))
	b.waitUp(t)
	return b
}

// documented is the configuration on the page.
func documented(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../docs/haproxy.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, ok := strings.Cut(string(page), "```haproxy\n")
	config, _, closed := strings.Cut(after, "```\n")
	if !ok || !closed || !strings.Contains(string(page), "drain: {delay: "+documentedDelay) {
		t.Fatal("docs/haproxy.md has no configuration, or another delay")
	}
	return config
}

// up are the backends that HAProxy sends requests to.
func (b *balanced) up(c context.Context) (n int) {
	req, err := http.NewRequestWithContext(c, http.MethodGet, b.state, nil)
	if err != nil {
		return 0
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	rows, err := csv.NewReader(resp.Body).ReadAll()
	if err != nil {
		return 0
	}
	status, checked := -1, -1
	for i, name := range rows[0] {
		switch name {
		case "status":
			status = i
		case "check_status":
			checked = i
		}
	}
	for _, row := range rows[1:] { // only a server that was checked is known to be up
		if row[0] == "replicas" && row[1] != "BACKEND" && row[status] == "UP" && strings.HasPrefix(row[checked], "L7OK") {
			n++
		}
	}
	return n
}

func (b *balanced) waitUp(t *testing.T) {
	t.Helper()
	eventually(t, "HAProxy sees all replicas", func() bool { return b.up(ctx(t)) == backends })
}

func (b *balanced) server(n int) *server {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.servers[n%len(b.servers)]
}

// renew starts a new process in the place of one that has ended.
func (b *balanced) renew(i int) {
	b.p.t.Helper()
	next := b.p.start(launch{port: b.ports[i], apart: b.apart})
	b.mu.Lock()
	defer b.mu.Unlock()
	b.servers[i] = next
}

// replace drains a replica and starts a new one in its place.
func (b *balanced) replace(t *testing.T, i int) {
	t.Helper()
	old := b.server(i)
	old.signal(syscall.SIGTERM)
	old.waitDead()
	if code := old.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("the drained server ended with %d", code)
	}
	b.renew(i)
	b.waitUp(t)
}
