package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "write the expected output in the scripts anew")

// akBinary is ak as real-process tests run it: without the race detector, and with failpoints.
var akBinary string

func TestMain(m *testing.M) {
	if role := os.Getenv("AK_TEST_PARROT"); role != "" { // the program of an MCP server
		beParrot(role)
		return
	}
	flag.Parse()
	os.Exit(withBinary(m.Run))
}

// withBinary builds ak once, before the tests run.
func withBinary(run func() int) int {
	dir, err := os.MkdirTemp("", "ak-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	akBinary = filepath.Join(dir, "ak")
	if out, err := exec.Command("go", "build", "-tags", "failpoint", "-o", akBinary, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "ak cannot be built: %v\n%s", err, out)
		return 1
	}
	return run()
}

// scripts runs the scripts of a folder. In them, "exits CODE command…" demands an exit code.
func scripts(t *testing.T, dir string, env ...string) {
	t.Helper()
	testscript.Run(t, testscript.Params{
		Dir: dir, UpdateScripts: *update, RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", filepath.Dir(akBinary)+string(os.PathListSeparator)+e.Getenv("PATH"))
			e.Vars = append(e.Vars, env...)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE command…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	err = ts.Exec(args[1], args[2:]...)
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		got = ended.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, not %d", got, want)
	}
}

func TestCommandsWithoutAServer(t *testing.T) { scripts(t, "testdata/script") }

func TestCommandsThatTalkToAServer(t *testing.T) {
	p := startServer(t, quickConfig(t, "127.0.0.1:1"))
	scripts(t, "testdata/server", "URL="+p.url)
}
