package bench

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// relay stands between a store and its server and counts what the store asks for.
type relay struct {
	addr  string
	count atomic.Int64
}

// newRelay relays to target. frames reads what the store sends and calls seen for each thing it asks for.
func newRelay(tb testing.TB, target string, frames func(r *bufio.Reader, seen func()) error) *relay {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	r := &relay{addr: l.Addr().String()}
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { r.carry(ctx, c, target, frames) })
		}
	})
	tb.Cleanup(func() {
		cancel()
		_ = l.Close()
		wg.Wait()
	})
	return r
}

// carry relays one connection until either side or the test ends.
func (r *relay) carry(ctx context.Context, c net.Conn, target string, frames func(*bufio.Reader, func()) error) {
	defer c.Close()
	up, err := (&net.Dialer{}).DialContext(ctx, "tcp", target)
	if err != nil {
		return
	}
	defer up.Close()
	stop := context.AfterFunc(ctx, func() { _, _ = c.Close(), up.Close() })
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	copied, in := io.Pipe()
	wg.Go(func() {
		_ = frames(bufio.NewReader(copied), func() { r.count.Add(1) })
		_, _ = io.Copy(io.Discard, copied) // whatever it did not understand
	})
	wg.Go(func() {
		_, _ = io.Copy(io.MultiWriter(up, in), c)
		_ = in.Close()
		_ = up.Close()
	})
	_, _ = io.Copy(c, up)
	_ = c.Close()
}

// redisFrames counts commands: arrays of strings.
func redisFrames(r *bufio.Reader, seen func()) error {
	for {
		words, err := number(r, '*')
		if err != nil {
			return err
		}
		seen()
		for range words {
			n, err := number(r, '$')
			if err != nil {
				return err
			}
			if _, err := r.Discard(n + 2); err != nil {
				return err
			}
		}
	}
}

// number reads a line of a mark and a number.
func number(r *bufio.Reader, mark byte) (int, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return 0, err
	}
	if line[0] != mark {
		return 0, io.ErrUnexpectedEOF
	}
	return strconv.Atoi(strings.TrimRight(line[1:], "\r\n"))
}

// postgresFrames counts statements: simple queries, and executions of prepared ones.
func postgresFrames(r *bufio.Reader, seen func()) error {
	for first := true; ; first = false {
		kind := byte(0)
		if !first { // the first message has no kind
			var err error
			if kind, err = r.ReadByte(); err != nil {
				return err
			}
		}
		var size [4]byte
		if _, err := io.ReadFull(r, size[:]); err != nil {
			return err
		}
		if kind == 'Q' || kind == 'E' {
			seen()
		}
		if _, err := r.Discard(int(binary.BigEndian.Uint32(size[:])) - len(size)); err != nil {
			return err
		}
	}
}

// httpFrames counts requests.
func httpFrames(r *bufio.Reader, seen func()) error {
	for {
		size := 0
		for first := true; ; first = false {
			line, err := r.ReadString('\n')
			if err != nil {
				return err
			}
			if first {
				seen()
			}
			name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
			if strings.EqualFold(name, "content-length") {
				if size, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
					return err
				}
			}
			if strings.TrimSpace(line) == "" {
				break
			}
		}
		if _, err := r.Discard(size); err != nil {
			return err
		}
	}
}
