package sqlite

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A killed process cannot show a missing sync: the system keeps what was written. So the syncs are counted.

func TestEveryCommitIsSynced(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Fatal("this test counts system calls and needs the program strace; install it (the package is called strace)")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	trace := filepath.Join(dir, "trace")
	cmd := exec.Command(strace, "-f", "-qq", "-e", "trace=fsync,fdatasync", "-o", trace, exe)
	cmd.Env = append(os.Environ(), childEnv+"=sync "+filepath.Join(dir, "ak.db"))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("the traced process failed (is tracing allowed here?): %v", err)
	}
	var commits int
	if _, err := fmt.Sscanf(string(out), "commits %d", &commits); err != nil || commits != syncCommits {
		t.Fatalf("the traced process said %q, want %d commits, one for each append", out, syncCommits)
	}
	f, err := os.Open(trace)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	syncs := 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if line := lines.Text(); strings.Contains(line, "sync(") && !strings.Contains(line, "= -1") {
			syncs++
		}
	}
	t.Logf("%d commits, %d syncs", commits, syncs)
	if syncs < commits {
		t.Errorf("%d commits made only %d syncs: some were acknowledged before they were durable", commits, syncs)
	}
}
