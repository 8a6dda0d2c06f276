package chaos

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/agentkernel/agentkernel/session"

	"github.com/agentkernel/agentkernel/internal/servers"
)

// server is one ak process.
type server struct {
	p    *place
	cmd  *exec.Cmd
	url  string
	dead chan struct{} // closed when it has ended
	log  *bytes.Buffer
	mu   sync.Mutex
}

var listening = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

// serve starts a process and waits until it says where it listens. failpoint is where it dies, empty for nowhere.
func (p *place) serve(failpoint string) *server {
	p.t.Helper()
	return p.serveWith("", failpoint)
}

// serveWith does so with the binary that has these tags.
func (p *place) serveWith(tags, failpoint string) *server {
	p.t.Helper()
	return p.start(launch{tags: tags, failpoint: failpoint})
}

// environ is what the commands of ak find in their environment.
func (p *place) environ() []string { return append(os.Environ(), p.store.env...) }

// launch says how a process is started.
type launch struct {
	tags, failpoint string
	port            int  // where it listens, 0 for a free one
	apart           bool // as if it had a machine of its own, if this system lets us: see apart
}

func (p *place) start(l launch) *server {
	p.t.Helper()
	s := &server{p: p, dead: make(chan struct{}), log: &bytes.Buffer{}}
	s.cmd = exec.Command(binaryOf(p.t, l.tags), "serve", "--config", p.config(), "--port", strconv.Itoa(l.port))
	s.cmd.Env = append(p.environ(), "AK_FAILPOINT="+l.failpoint)
	s.cmd.Dir = p.dir
	if l.apart {
		s.cmd.SysProcAttr = apart()
	}
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := servers.Start(s.cmd); err != nil {
		p.t.Fatal(err)
	}
	ready := make(chan string, 1)
	go func() {
		defer close(s.dead)
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			s.mu.Lock()
			fmt.Fprintln(s.log, lines.Text())
			s.mu.Unlock()
			if m := listening.FindString(lines.Text()); m != "" {
				select {
				case ready <- m:
				default:
				}
			}
		}
		_ = s.cmd.Wait()
	}()
	p.t.Cleanup(func() {
		_ = s.cmd.Process.Signal(syscall.SIGCONT)
		_ = s.cmd.Process.Kill()
		<-s.dead
		if p.t.Failed() {
			p.t.Logf("process %d said:\n%s", s.cmd.Process.Pid, s.log)
		}
	})
	select {
	case s.url = <-ready:
	case <-s.dead:
		p.t.Fatalf("ak ended before it listened:\n%s", s.log)
	case <-time.After(30 * time.Second):
		p.t.Fatal("ak does not listen after 30 s")
	}
	return s
}

func (s *server) signal(sig syscall.Signal) {
	s.p.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.p.t.Fatal(err)
	}
}

func (s *server) waitDead() {
	s.p.t.Helper()
	select {
	case <-s.dead:
	case <-time.After(30 * time.Second):
		s.p.t.Fatal("the process did not end within 30 s")
	}
}

// answer is what a client is told.
type answer struct {
	status  int
	after   string // Retry-After
	Result  string `json:"result"`
	Turn    string `json:"turn_id"`
	State   string `json:"state"`
	Waiting *struct {
		Reason string `json:"reason"`
		Step   string `json:"step"`
		Asks   []struct {
			Step   string `json:"step"`
			Digest string `json:"digest"`
		} `json:"asks"`
	} `json:"waiting"`
	Steered bool   `json:"steered"`
	Code    string `json:"code"`
}

// client is who calls. There may be hundreds of requests to one server at a time.
var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 300}}

// chat sends a request; an error is a connection that broke.
func (s *server) chat(ctx context.Context, key, prompt string) (answer, error) {
	return s.post(ctx, "/api/v1/chat", key, map[string]any{"session_id": "s", "prompt": prompt})
}

func (s *server) post(ctx context.Context, path, key string, body any) (a answer, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+path, bytes.NewReader(mustJSON(body)))
	if err != nil {
		return a, err
	}
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	return s.send(req)
}

func (s *server) get(ctx context.Context, path string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
	if err != nil {
		return answer{}, err
	}
	return s.send(req)
}

func (s *server) send(req *http.Request) (a answer, err error) {
	resp, err := client.Do(req)
	if err != nil {
		return a, err
	}
	defer resp.Body.Close()
	a.status, a.after = resp.StatusCode, resp.Header.Get("Retry-After")
	raw, err := io.ReadAll(resp.Body)
	if err == nil {
		err = json.Unmarshal(raw, &a)
	}
	return a, err
}

// read gets what is no answer to a request.
func (s *server) read(path string, into any) {
	s.p.t.Helper()
	resp, err := client.Get(s.url + path)
	if err != nil {
		s.p.t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil || resp.StatusCode != http.StatusOK {
		s.p.t.Fatalf("%s: %d, %v", path, resp.StatusCode, err)
	}
}

// replica is the server's id among the others.
func (s *server) replica() string {
	s.p.t.Helper()
	var h struct {
		Replica string `json:"replica"`
	}
	s.read("/health?verbose", &h)
	return h.Replica
}

// journal is all that was written into a session.
func (s *server) journal(id string) (all []session.Batch) {
	s.p.t.Helper()
	for after := uint64(0); ; {
		var page struct {
			Records []session.Batch `json:"records"`
			Next    uint64          `json:"next"`
		}
		s.read(fmt.Sprintf("/api/v1/sessions/%s/journal?limit=1000&after=%d", id, after), &page)
		all = append(all, page.Records...)
		if after = page.Next; after == 0 {
			return all
		}
	}
}

// count is how many events of the journal a test looks for.
func count(journal []session.Batch, is func(session.Event) bool) (n int) {
	for _, b := range journal {
		for _, e := range b.Events {
			if is(e) {
				n++
			}
		}
	}
	return n
}

// run runs another command of ak over the place.
func (p *place) run(args ...string) {
	p.t.Helper()
	cmd := exec.Command(binaryOf(p.t, ""), append(args, "--config", p.config())...)
	cmd.Dir, cmd.Env = p.dir, p.environ()
	if out, err := cmd.CombinedOutput(); err != nil {
		p.t.Fatalf("ak %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// verify runs `ak verify` over the database, while nobody serves or beside who does.
func (p *place) verify(tags string) {
	p.t.Helper()
	if out, err := p.verified(tags); err != nil {
		p.t.Errorf("ak verify: %v\n%s", err, out)
	}
}

func (p *place) verified(tags string) ([]byte, error) {
	cmd := exec.Command(binaryOf(p.t, tags), "verify", "--config", p.config())
	cmd.Env = p.environ()
	return cmd.CombinedOutput()
}
