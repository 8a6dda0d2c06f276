//go:build unix

package httptool

import (
	"context"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel/session"
)

// fullListener is the address of a listener that takes no more connections.
func fullListener(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	at := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: name.(*syscall.SockaddrInet4).Port}
	for range 2 { // a queue of length 0 has room for one on some systems
		c, err := net.DialTimeout("tcp", at.String(), 100e6)
		if err == nil {
			t.Cleanup(func() { _ = c.Close() })
		}
	}
	return at.String()
}

func TestAHostThatDoesNotAnswerIsGivenUpBeforeTheCallsTimeIsOver(t *testing.T) {
	// The listener's queue is full, so that connections are neither accepted nor refused.
	l := fullListener(t)
	ctx, cancel := context.WithTimeout(background(), 2*time.Second)
	defer cancel()
	_, err := made(t, spec("http://"+l, session.AtMostOnce)).Call(ctx, call(`{}`))
	if err == nil || unclear(err) || ctx.Err() != nil {
		t.Errorf("%v (context: %v)", err, ctx.Err())
	}
}
