package sqlite

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/agentkernel/agentkernel/session"
)

// A child appends to childSessions sessions of its own and to one that all children share, each from its own goroutine,
// and prints "session seq id" as soon as an append is acknowledged.
const childSessions = 4

// child is the job of a child process: "append <name> <path>" until it is killed, or "sync <path>", which commits
// syncCommits times and says how many commits there were.
func child(job string) int {
	kind, rest, _ := strings.Cut(job, " ")
	name, path, _ := strings.Cut(rest, " ")
	var err error
	switch kind {
	case "append":
		err = appendForever(name, path)
	case "sync":
		err = commitSome(rest)
	default:
		err = fmt.Errorf("unknown job %q", job)
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

func appendForever(name, path string) error {
	ctx := context.Background()
	s, err := Open(ctx, path, Config{})
	if err != nil {
		return err
	}
	failed := make(chan error)
	for i := range childSessions + 1 {
		key := session.Key{ID: fmt.Sprintf("%s-%d", name, i)}
		if i == childSessions {
			key.ID = "shared"
		}
		go func() { failed <- appendTo(ctx, s, key, name) }()
	}
	return <-failed
}

// appendTo appends to one session, after whatever others have put there.
func appendTo(ctx context.Context, s *Store, key session.Key, name string) error {
	for {
		heads, err := s.Heads(ctx, []session.Key{key})
		if err != nil {
			return err
		}
		at := heads[0].Position
		rec := record(at, []byte(name+strings.Repeat(" content", 100)))
		if err := s.Append(ctx, key, at, rec, session.Attention{Owner: name, Epoch: rec.Seq}); err != nil {
			if key.ID == "shared" {
				continue // the other child was faster
			}
			return err
		}
		// One write for one line: a killed process leaves no half of an acknowledgement.
		if _, err := fmt.Fprintf(os.Stdout, "%s %d %s\n", key.ID, rec.Seq, rec.ID); err != nil {
			return err
		}
	}
}

const syncCommits = 60

// commitSome appends syncCommits times, one after the other, and prints how many commits that took.
func commitSome(path string) error {
	ctx := context.Background()
	s, err := Open(ctx, path, Config{})
	if err != nil {
		return err
	}
	var commits atomic.Int64
	s.beforeCommit = func() error { commits.Add(1); return nil }
	var at session.Position
	for range syncCommits {
		rec := record(at, []byte("sync"))
		if err := s.Append(ctx, session.Key{ID: "a"}, at, rec, session.Attention{}); err != nil {
			return err
		}
		at = rec.Position()
	}
	fmt.Printf("commits %d\n", commits.Load())
	os.Exit(0) // without Close, whose checkpoint would add syncs
	return nil
}

// start runs this test binary as a child.
func start(t *testing.T, job string) (*exec.Cmd, io.Reader) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childEnv+"="+job)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, out
}

func TestKilledProcessesLoseNothingThatWasAcknowledged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ak.db")
	const children, rounds, enough = 2, 3, 150 // acknowledgements of one child before it is killed
	acked := map[string]string{}               // "session seq" to id
	var mu sync.Mutex
	for round := range rounds {
		var wg sync.WaitGroup
		for c := range children {
			cmd, out := start(t, fmt.Sprintf("append r%dc%d %s", round, c, path))
			wg.Go(func() {
				lines := bufio.NewScanner(out)
				n := 0
				for ; lines.Scan(); n++ {
					place, id := lines.Text(), ""
					if cut := strings.LastIndexByte(place, ' '); cut > 0 {
						place, id = place[:cut], place[cut+1:]
					}
					mu.Lock()
					if acked[place] != "" {
						t.Errorf("%s was acknowledged twice", place)
					}
					acked[place] = id
					mu.Unlock()
					if n == enough {
						if err := cmd.Process.Kill(); err != nil { // SIGKILL, in the middle of its load
							t.Error(err)
						}
					}
				}
				if err := cmd.Wait(); err == nil || n < enough {
					t.Errorf("the child ended after %d appends with %v; it should have been killed", n, err)
				}
			})
		}
		wg.Wait()
	}
	verifyAcked(t, path, acked)
}

// verifyAcked looks for every acknowledged append, and for gaps.
func verifyAcked(t *testing.T, path string, acked map[string]string) {
	t.Helper()
	s := open(t, path, Config{})
	heads, err := s.List(t.Context(), session.Query{})
	if err != nil {
		t.Fatal(err)
	}
	stored := map[string]string{}
	for _, h := range heads {
		_, records, err := s.Read(t.Context(), h.Key, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		if uint64(len(records)) != h.Len || h.Epoch != h.Len {
			t.Errorf("%s has %d records, head %+v", h.Key, len(records), h)
		}
		for i, rec := range records {
			if rec.Seq != uint64(i+1) {
				t.Errorf("%s: record %d stands at place %d", h.Key, rec.Seq, i+1)
			}
			stored[fmt.Sprintf("%s %d", h.Key, rec.Seq)] = rec.ID
		}
	}
	for place, id := range acked {
		if stored[place] != id {
			t.Errorf("%s was acknowledged as %s and is %q now", place, id, stored[place])
		}
	}
	t.Logf("%d acknowledged, %d stored", len(acked), len(stored))
	if len(acked) == 0 {
		t.Error("nothing was checked")
	}
}
