//go:build unix

package servers

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// bound are the addresses in a configuration of HAProxy.
var bound = regexp.MustCompile(`(?m)^\s*bind\s+(127\.0\.0\.1:\d+)`)

// HAProxy starts HAProxy with a configuration and waits until it listens at every "bind 127.0.0.1:PORT" in it. A
// configuration that has none fails the test. It runs as one process: freezing or killing it freezes or kills all.
func HAProxy(tb testing.TB, config string) *Process {
	tb.Helper()
	program := Find(tb, "haproxy", "haproxy", "/usr/sbin/haproxy")
	addresses := bound.FindAllStringSubmatch(config, -1)
	if len(addresses) == 0 {
		tb.Fatal("haproxy: the configuration binds no port of 127.0.0.1")
	}
	file := filepath.Join(tb.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		tb.Fatal(err)
	}
	return Run(tb, exec.Command(program, "-db", "-f", file), func(ctx context.Context) error {
		for _, a := range addresses {
			if err := Listens(a[1])(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}
