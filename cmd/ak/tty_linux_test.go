package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/agentkernel/agentkernel/fault"
)

// pty is a terminal: what is written to the first end is typed at the second.
func pty(t *testing.T) (keyboard, screen *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = keyboard.Close() })
	n, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	screen, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return keyboard, screen
}

// person sits at a terminal.
type person struct {
	t        *testing.T
	keyboard *os.File
	mu       sync.Mutex
	seen     strings.Builder
	more     chan struct{}
}

func (p *person) watch() {
	defer close(p.more)
	for b := make([]byte, 4096); ; {
		n, err := p.keyboard.Read(b)
		p.mu.Lock()
		p.seen.Write(b[:n])
		p.mu.Unlock()
		if err != nil {
			return
		}
		select {
		case p.more <- struct{}{}:
		default:
		}
	}
}

// sees waits until the screen shows a text so many times.
func (p *person) sees(text string, times int) {
	p.t.Helper()
	for limit := time.After(patient); ; {
		p.mu.Lock()
		seen := p.seen.String()
		p.mu.Unlock()
		if strings.Count(seen, text) >= times {
			return
		}
		select {
		case <-p.more:
		case <-limit:
			p.t.Fatalf("the screen does not show %q %d times but %q", text, times, seen)
		}
	}
}

func (p *person) types(text string) {
	p.t.Helper()
	if _, err := p.keyboard.WriteString(text); err != nil {
		p.t.Fatal(err)
	}
}

func TestAPersonAtATerminalCancelsATurnAndLeaves(t *testing.T) {
	s := newStalling(t)
	server := startServer(t, folder(t, s.config("")))
	keyboard, screen := pty(t)
	chat := exec.Command(akBinary, "chat", "--url", server.url)
	chat.Dir, chat.Stdin, chat.Stdout, chat.Stderr = t.TempDir(), screen, screen, screen
	chat.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := chat.Start(); err != nil {
		t.Fatal(err)
	}
	_ = screen.Close()
	p := &person{t: t, keyboard: keyboard, more: make(chan struct{}, 1)}
	go p.watch()
	t.Cleanup(func() { _ = chat.Process.Kill() })
	p.sees("a> ", 1)
	p.types("my name is Ada\n")
	<-s.asked
	p.types("\x03")
	p.sees("(cancelled)", 1)
	p.sees("a> ", 2)
	s.release()
	p.types("my name is Bob\n")
	p.sees("Nice to meet you, Bob", 1)
	p.sees("a> ", 3)
	p.types("\x03")
	_ = chat.Wait()
	if code := chat.ProcessState.ExitCode(); code != fault.ExitCancelled {
		t.Errorf("exit code %d", code)
	}
	p.sees("go on with: ak chat --session ", 1)
}
