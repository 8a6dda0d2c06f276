package chaos

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/agentkernel/agentkernel/internal/servers"
)

// TestNoServerOutlivesTheTests: a run of tests that is killed, or that panics as one does that takes too long, leaves no
// process behind.
func TestNoServerOutlivesTheTests(t *testing.T) {
	for _, end := range []string{"kill", "panic"} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t, basic)
			log := filepath.Join(p.dir, "log")
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), roleVariable+"=parent", "CHAOS_AK="+binaryOf(t, ""), "CHAOS_CONFIG="+p.config(), "CHAOS_LOG="+log)
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := servers.Start(cmd); err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(out).ReadString('\n')
			pid, perr := strconv.Atoi(strings.TrimSpace(line))
			if err != nil || perr != nil {
				t.Fatalf("the run of tests said %q: %v, %v", line, err, perr)
			}
			defer func() {
				if t.Failed() && pid > 1 {
					_ = syscall.Kill(pid, syscall.SIGKILL)
				}
			}()
			eventually(t, "the server listens", func() bool {
				said, err := os.ReadFile(log)
				return err == nil && listening.Match(said)
			})
			if ended(pid) {
				t.Fatal("the server ended before the tests did")
			}
			if end == "kill" {
				_ = cmd.Process.Kill()
			}
			_ = in.Close() // it panics now
			_ = cmd.Wait()
			eventually(t, "the server has ended with the tests", func() bool { return ended(pid) })
		})
	}
}

// parent is a run of tests that ends without a cleanup, after it said which process it started. The server writes to a
// file: one that wrote to its parent would end by itself when nobody reads that any more.
func parent() {
	log, err := os.Create(os.Getenv("CHAOS_LOG"))
	if err != nil {
		panic(err)
	}
	cmd := exec.Command(os.Getenv("CHAOS_AK"), "serve", "--config", os.Getenv("CHAOS_CONFIG"), "--port", "0")
	cmd.Stderr = log
	if err := servers.Start(cmd); err != nil {
		panic(err)
	}
	fmt.Println(cmd.Process.Pid)
	_, _ = io.Copy(io.Discard, os.Stdin)
	panic("a test took too long")
}
