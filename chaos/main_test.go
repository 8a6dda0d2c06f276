package chaos

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// roleVariable makes this binary another program than the tests: what they start beside ak.
const roleVariable = "CHAOS_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case "mcp":
		serveMCP()
		return
	case "nothing":
		return
	case "parent":
		parent()
		return
	}
	flag.Parse()
	if n := flag.Lookup("test.parallel"); n.Value.String() == n.DefValue {
		_ = n.Value.Set("4") // these tests wait for other processes and for leases, most of the time
	}
	var err error
	if builds.dir, err = os.MkdirTemp("", "ak-chaos"); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(builds.dir)
	os.Exit(code)
}

// builds are the binaries that were built so far, by their tags.
var builds struct {
	dir string
	mu  sync.Mutex
	of  map[string]string
}

// binaryOf is ak, built with the failpoint tag and those that are named, separated by commas.
func binaryOf(t *testing.T, tags string) string {
	t.Helper()
	builds.mu.Lock()
	defer builds.mu.Unlock()
	if path := builds.of[tags]; path != "" {
		return path
	}
	path := filepath.Join(builds.dir, "ak-"+strings.ReplaceAll(tags, ",", "-"))
	build := exec.Command("go", "build", "-ldflags", "-s -w", "-tags", strings.Trim("failpoint,"+tags, ","), "-o", path, "../cmd/ak")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("ak with tags %q does not build: %v\n%s", tags, err, out)
	}
	if builds.of == nil {
		builds.of = map[string]string{}
	}
	builds.of[tags] = path
	return path
}
