package mcptool

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	grace      = 2 * time.Second // for a program to end by itself once its input is closed
	writeLimit = 5 * time.Second // for one message to be taken by the program
	maxLine    = 1 << 10         // bytes of a line of a program's standard error that are logged
	maxLines   = 256             // lines of it that are logged, per start
)

// inherited are the variables of this process that a program gets.
var inherited = []string{
	"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "TEMP", "TMP",
	"SYSTEMROOT", "SYSTEMDRIVE", "COMSPEC", "PATHEXT", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "PROGRAMFILES",
	"SSL_CERT_FILE", "SSL_CERT_DIR",
}

// process is a program that runs.
type process struct {
	in      *os.File // to its standard input
	out     *os.File // from its standard output
	written atomic.Int64
	pid     int
	done    chan struct{} // closed when it has ended
	ended   error         // how, once done is closed
	said    words
	logged  chan struct{} // closed when its standard error is read to the end
	once    sync.Once

	killed atomic.Bool // by us
}

// start starts a program. Its pipes are plain files, so that nothing waits for a grandchild that keeps one open.
func start(s *Spec, scrub scrubber) (*process, error) {
	cmd := exec.Command(s.Command[0], s.Command[1:]...)
	cmd.Dir = s.Dir
	for _, name := range inherited {
		if v, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	for name, v := range s.Env {
		cmd.Env = append(cmd.Env, name+"="+v)
	}
	var files []*os.File
	pipe := func() (r, w *os.File) {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, nil
		}
		files = append(files, r, w)
		return r, w
	}
	inR, inW := pipe()
	outR, outW := pipe()
	errR, errW := pipe()
	if len(files) < 6 {
		closeAll(files)
		return nil, errors.New("no pipe could be made: too many open files")
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = inR, outW, errW
	ownGroup(cmd)
	p := &process{in: inW, out: outR, done: make(chan struct{}), logged: make(chan struct{})}
	started := make(chan error)
	go p.run(cmd, started)
	err := <-started
	closeAll([]*os.File{inR, outW, errW})
	if err != nil {
		closeAll([]*os.File{inW, outR, errR})
		return nil, err
	}
	go p.listen(errR, s.Logger.With("mcp_server", s.Name), scrub)
	return p, nil
}

// run starts the program and waits for it, on a thread of its own: the system tells a program of the death of the thread
// that started it, not of the process.
func (p *process) run(cmd *exec.Cmd, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := cmd.Start()
	if err == nil {
		p.pid = cmd.Process.Pid
	}
	started <- err
	if err != nil {
		return
	}
	p.ended = cmd.Wait()
	killGroup(p.pid) // what it started, and left behind
	_ = p.out.SetReadDeadline(time.Now().Add(grace))
	close(p.done)
}

// listen logs what the program writes to its standard error.
func (p *process) listen(r *os.File, log *slog.Logger, scrub scrubber) {
	defer close(p.logged)
	defer func() { _ = r.Close() }()
	go func() { // a descendant that left the group may keep the pipe open
		<-p.done
		_ = r.SetReadDeadline(time.Now().Add(grace))
	}()
	lines, dropped := 0, 0
	in := bufio.NewReaderSize(r, maxLine)
	for {
		line, more, err := in.ReadLine()
		clean := scrub.clean
		if more {
			clean = scrub.cleanCut
		}
		if text := strings.TrimSpace(clean(strings.ToValidUTF8(string(line), "\uFFFD"))); text != "" {
			p.said.set(text)
			if lines++; lines <= maxLines {
				log.Info("an MCP server says", "line", text)
			} else {
				dropped++
			}
		}
		for more && err == nil { // the rest of a long line
			_, more, err = in.ReadLine()
		}
		if err != nil {
			break
		}
	}
	if dropped > 0 {
		log.Info("an MCP server said more than is logged", "lines", dropped)
	}
}

// words are the last line that a program wrote to its standard error.
type words struct {
	mu   sync.Mutex
	last string
}

func (w *words) set(s string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = s
}

func (w *words) get() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}

// Write sends to the program. One that takes nothing for so long, or only a part, cannot be spoken to any more.
func (p *process) Write(b []byte) (int, error) {
	_ = p.in.SetWriteDeadline(time.Now().Add(writeLimit))
	n, err := p.in.Write(b)
	p.written.Add(int64(n))
	if err != nil {
		_ = p.in.Close()
		p.killed.Store(true)
		killGroup(p.pid)
	}
	return n, err
}

// Close ends the input, which asks the program to end.
func (p *process) Close() error { return p.in.Close() }

// stop ends the program, kindly if it will have it so, and waits until it is gone.
func (p *process) stop() {
	p.once.Do(func() {
		_ = p.in.Close()
		t := time.NewTimer(grace)
		defer t.Stop()
		select {
		case <-p.done:
		case <-t.C:
			p.killed.Store(true)
			killGroup(p.pid)
			<-p.done
		}
		<-p.logged
		_ = p.out.Close()
	})
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

var _ io.WriteCloser = (*process)(nil)

// wrongCommand reports that an error of start says that the command is no program, rather than that none can be started.
func wrongCommand(err error) bool {
	return errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) ||
		slices.ContainsFunc(badCommand, func(e error) bool { return errors.Is(err, e) })
}
