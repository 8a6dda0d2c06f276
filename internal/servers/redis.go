//go:build unix

package servers

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// RedisServer is one redis-server (or sentinel) with its port and directory, which it keeps over restarts.
type RedisServer struct {
	*Process        // the running one, or the last that ran
	Addr     string // host:port
	URL      string // redis://host:port

	tb      testing.TB
	program string
	config  string // the path of its configuration, which the server itself may rewrite
}

// Redis starts one redis-server that keeps nothing on disk, so that a restart finds it empty. Arguments are those of the
// command line and win over that: "--appendonly", "yes" for one that keeps what it was told.
func Redis(tb testing.TB, args ...string) *RedisServer {
	tb.Helper()
	return startRedis(tb, Port(tb), args...)
}

// Replica starts a redis-server that copies another one, and waits until it has its data.
func Replica(tb testing.TB, of *RedisServer, args ...string) *RedisServer {
	tb.Helper()
	r := Redis(tb, append([]string{"--replicaof", "127.0.0.1", of.port()}, args...)...)
	WaitUntil(tb, "the replica has the data of its primary", r.linked)
	return r
}

func startRedis(tb testing.TB, port int, args ...string) *RedisServer {
	tb.Helper()
	base := []string{
		"--appendonly", "no", "--save", "",
		"--repl-diskless-sync-delay", "0", // a replica waits 5 s for others to come, else
		"--enable-debug-command", "yes",
	}
	r := &RedisServer{tb: tb, program: Find(tb, "redis-server", "redis-server")}
	r.place(port, append(base, args...))
	r.Start()
	return r
}

// place gives the server its port, directory and configuration. It is a file, as in production, since a server that was
// promoted or demoted writes its new role into it.
func (r *RedisServer) place(port int, args []string) {
	r.tb.Helper()
	dir := r.tb.TempDir()
	r.Addr = fmt.Sprintf("127.0.0.1:%d", port)
	r.URL = "redis://" + r.Addr
	r.config = filepath.Join(dir, "redis.conf")
	text := fmt.Sprintf("port %d\nbind 127.0.0.1\ndir %s", port, strconv.Quote(dir))
	for _, arg := range args {
		switch name, isName := strings.CutPrefix(arg, "--"); {
		case isName:
			text += "\n" + name
		case arg == "":
			text += ` ""`
		default:
			text += " " + arg
		}
	}
	if err := os.WriteFile(r.config, []byte(text+"\n"), 0o600); err != nil {
		r.tb.Fatal(err)
	}
}

// Start starts the server again, after Kill or Terminate, on the same port and directory, and waits until it serves.
func (r *RedisServer) Start() {
	r.tb.Helper()
	r.Process = Run(r.tb, exec.Command(r.program, r.config), func(ctx context.Context) error {
		_, err := r.Do(ctx, "PING")
		return err
	})
}

// Do sends one command; see Ask.
func (r *RedisServer) Do(ctx context.Context, command ...string) (any, error) {
	return Ask(ctx, r.Addr, command...)
}

func (r *RedisServer) port() string { return r.Addr[strings.LastIndexByte(r.Addr, ':')+1:] }

// Info is a field of the server's INFO.
func (r *RedisServer) Info(ctx context.Context, section, field string) (string, error) {
	return r.field(ctx, field, "INFO", section)
}

// field finds name:value in an answer of lines.
func (r *RedisServer) field(ctx context.Context, name string, command ...string) (string, error) {
	answer, err := r.Do(ctx, command...)
	if err != nil {
		return "", err
	}
	text, _ := answer.(string)
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), name+":"); ok {
			return value, nil
		}
	}
	return "", fmt.Errorf("%s has no %s", strings.Join(command, " "), name)
}

// linked is nil for a replica that has its primary's data and follows it.
func (r *RedisServer) linked(ctx context.Context) error {
	switch state, err := r.Info(ctx, "replication", "master_link_status"); {
	case err != nil:
		return fmt.Errorf("%s: %w", r.Addr, err)
	case state != "up":
		return fmt.Errorf("the link of %s is %s", r.Addr, state)
	}
	return nil
}

// WaitUntil asks again and again until check returns nil, and fails the test after a minute.
func WaitUntil(tb testing.TB, what string, check func(context.Context) error) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check(ctx)
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			tb.Fatalf("%s: not after %s: %v", what, startTime, err)
		}
	}
}
