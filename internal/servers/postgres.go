//go:build unix

package servers

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// PostgresServer is a PostgreSQL server with a data folder of its own. It can be killed and started again on the same
// data, as often as a test likes.
type PostgresServer struct {
	tb       testing.TB
	program  string
	data     string // the data folder
	port     int
	settings []string
	process  *Process // nil while it is killed
}

// PostgresURL is the environment variable that names a real server to run tests of conformance on.
const PostgresURL = "AK_TEST_POSTGRES_URL"

// Postgres starts a PostgreSQL server. Settings are lines of its configuration, "name=value". Syncing is on, as in
// production. Because PostgreSQL does not run as root, root runs it as the user that Debian's package makes.
func Postgres(tb testing.TB, settings ...string) *PostgresServer {
	tb.Helper()
	s := &PostgresServer{
		tb:       tb,
		program:  Find(tb, "postgres", "postgresql", "/usr/lib/postgresql/*/bin/postgres"),
		port:     Port(tb),
		settings: settings,
	}
	parent := postgresFolder(tb)
	tb.Cleanup(func() {
		if err := os.RemoveAll(parent); err != nil {
			tb.Logf("postgres: %v", err)
		}
	})
	s.data = filepath.Join(parent, "data")
	copyTemplate(tb, s.program, s.data)
	tb.Cleanup(s.end)
	s.Start()
	return s
}

// URL is where the server is: a superuser without a password, and the database that is always there.
func (s *PostgresServer) URL() string {
	return fmt.Sprintf("postgres://agentkernel@%s/postgres?sslmode=disable", s.Address())
}

// Address is host and port.
func (s *PostgresServer) Address() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

// Start starts a server that was killed, and waits until it has recovered. It does nothing when the server runs.
func (s *PostgresServer) Start() {
	s.tb.Helper()
	if s.process != nil {
		return
	}
	args := []string{"-D", s.data, "-p", strconv.Itoa(s.port)}
	// Shared memory is kept under the data folder, so that a killed server leaves none behind.
	for _, line := range append([]string{
		"listen_addresses=127.0.0.1", "unix_socket_directories=", "dynamic_shared_memory_type=mmap", "fsync=on",
		"shared_buffers=32MB", "max_wal_size=256MB", "log_min_messages=warning",
	}, s.settings...) {
		args = append(args, "-c", line)
	}
	cmd := exec.Command(s.program, args...)
	cmd.Dir = s.data
	asPostgres(s.tb, cmd)
	s.process = Run(s.tb, cmd, s.answers)
}

// answers reports whether the server takes sessions: it answers a start of the protocol with a request to authenticate,
// or that all is well, and not with an error such as "starting up".
func (s *PostgresServer) answers(ctx context.Context) error {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", s.Address())
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	body := "\x00\x03\x00\x00user\x00agentkernel\x00database\x00postgres\x00\x00" // version 3.0
	if _, err := conn.Write(append([]byte{0, 0, 0, byte(len(body) + 4)}, body...)); err != nil {
		return err
	}
	answer := make([]byte, 1024)
	n, err := conn.Read(answer)
	if err != nil {
		return err
	}
	if answer[0] != 'R' {
		return fmt.Errorf("it answers %q", answer[:n])
	}
	return nil
}

// Kill ends all processes of the server at once, as a machine does that loses power but keeps its memory.
func (s *PostgresServer) Kill() {
	s.tb.Helper()
	if s.process == nil {
		return
	}
	s.signal(syscall.SIGKILL)
	s.process.Kill()
	s.process = nil
}

// Freeze stops all processes of the server where they are.
func (s *PostgresServer) Freeze() {
	s.tb.Helper()
	s.signal(syscall.SIGSTOP)
}

// Thaw lets a frozen server go on.
func (s *PostgresServer) Thaw() {
	s.tb.Helper()
	s.signal(syscall.SIGCONT)
}

// Log is what the server said last; empty while it is killed.
func (s *PostgresServer) Log() string {
	if s.process == nil {
		return ""
	}
	return s.process.Log()
}

// PID is the id of the server's first process, the parent of those that serve connections; 0 while it is killed.
func (s *PostgresServer) PID() int {
	if s.process == nil {
		return 0
	}
	return s.process.PID()
}

// signal reaches the first process and then its children, which are no group of processes: each has made its own. The
// first is stopped meanwhile, so that none is started behind our back.
func (s *PostgresServer) signal(sig syscall.Signal) {
	pid := s.process.PID()
	_ = syscall.Kill(pid, syscall.SIGSTOP)
	for _, child := range children(pid) {
		_ = syscall.Kill(child, sig)
	}
	_ = syscall.Kill(pid, sig)
}

// children are the processes that pid started.
func children(pid int) (out []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range stats {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		// The name in parentheses may hold anything; behind it stand the state and the parent.
		text := string(b)
		fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
		if len(fields) < 2 || fields[1] != strconv.Itoa(pid) {
			continue
		}
		if child, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
			out = append(out, child)
		}
	}
	return out
}

// end stops the server when the test is over: by its own quick way first, so that it gives back what it took from the
// system.
func (s *PostgresServer) end() {
	if s.process == nil {
		return
	}
	s.Thaw()
	_ = syscall.Kill(s.process.PID(), syscall.SIGQUIT)
	select {
	case <-s.process.dead:
		s.process = nil
	case <-time.After(10 * time.Second):
		s.Kill()
	}
}

// postgresFolder makes a folder that the server's user may enter, which a test's own folder need not be.
func postgresFolder(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "agentkernel-postgres-")
	if err != nil {
		tb.Fatal(err)
	}
	if owner := postgresUser(tb); owner != nil {
		if err := os.Chown(dir, int(owner.Uid), int(owner.Gid)); err != nil {
			tb.Fatal(err)
		}
	}
	return dir
}

// postgresUser is who the server runs as when we are root, else nil.
func postgresUser(tb testing.TB) *syscall.Credential {
	tb.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		tb.Fatalf("PostgreSQL does not run as root, and its user is not there: %v\ntry: apt-get install -y --no-install-recommends postgresql", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(err, err2); err != nil {
		tb.Fatal(err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

func asPostgres(tb testing.TB, cmd *exec.Cmd) {
	if owner := postgresUser(tb); owner != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner}
	}
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC")
}

// file is one of a new data folder; a folder has no data.
type file struct {
	path string // relative
	mode fs.FileMode
	data []byte
}

// template is a new data folder, made once for all servers of a test binary and kept in memory: on the disk nobody
// would remove it.
var template struct {
	sync.Mutex
	files []file
}

// copyTemplate makes a data folder.
func copyTemplate(tb testing.TB, program, data string) {
	tb.Helper()
	template.Lock()
	defer template.Unlock()
	if template.files == nil {
		template.files = makeTemplate(tb, program)
	}
	owner := postgresUser(tb)
	for _, f := range template.files {
		name := filepath.Join(data, f.path)
		var err error
		if f.mode.IsDir() {
			err = os.Mkdir(name, f.mode.Perm())
		} else {
			err = os.WriteFile(name, f.data, f.mode.Perm())
		}
		if err == nil && owner != nil {
			err = os.Chown(name, int(owner.Uid), int(owner.Gid))
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
}

// makeTemplate has initdb make a data folder and reads it.
func makeTemplate(tb testing.TB, program string) (files []file) {
	tb.Helper()
	dir := postgresFolder(tb)
	defer os.RemoveAll(dir)
	data := filepath.Join(dir, "data")
	cmd := exec.Command(filepath.Join(filepath.Dir(program), "initdb"), "-D", data, "--no-sync", "--wal-segsize=4",
		"--encoding=UTF8", "--locale=C", "--auth=trust", "--username=agentkernel")
	cmd.Dir = dir
	asPostgres(tb, cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("initdb: %v\n%s", err, out)
	}
	err := filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		f := file{mode: info.Mode()}
		if f.path, err = filepath.Rel(data, path); err == nil && !d.IsDir() {
			f.data, err = os.ReadFile(path)
		}
		files = append(files, f)
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return files
}
