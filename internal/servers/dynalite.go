//go:build unix

package servers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// DynaliteServer is a server of the DynamoDB API. It keeps its tables in memory: what it was told is gone when it ends.
type DynaliteServer struct {
	*Process
	Endpoint string // its URL
}

// Dynalite starts a server of the DynamoDB API, without tables. Tables are made and changed at once.
func Dynalite(tb testing.TB) *DynaliteServer {
	tb.Helper()
	_, here, _, _ := runtime.Caller(0)
	folder := filepath.Join(filepath.Dir(here), "testdata", "dynalite", "node_modules")
	if _, err := os.Stat(filepath.Join(folder, "installed.json")); err != nil {
		tb.Fatal("dynalite is not installed, and this test needs it\ntry: scripts/dynalite.sh (make test does it)")
	}
	port := Port(tb)
	address := fmt.Sprintf("127.0.0.1:%d", port)
	cmd := exec.Command(Find(tb, "node", "nodejs"), filepath.Join(folder, "dynalite", "cli.js"),
		"--host", "127.0.0.1", "--port", fmt.Sprint(port), "--createTableMs", "0", "--updateTableMs", "0", "--deleteTableMs", "0")
	listens := Listens(address)
	p := Run(tb, cmd, func(ctx context.Context) error { return listens(ctx) })
	return &DynaliteServer{Process: p, Endpoint: "http://" + address}
}
