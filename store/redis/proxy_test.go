package redis_test

import (
	"bufio"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// proxy stands between a store and a server. It reads the commands that go through, and can lose an answer or give one of its
// own.
type proxy struct {
	url string

	mu       sync.Mutex
	commands []string // their names, in capitals, without those of the handshake
	cut      bool     // instead of the next answer the connection is cut
	answer   string   // given to every script, which then does not reach the server
	conns    map[net.Conn]bool
	closed   bool
}

func newProxy(t *testing.T, server string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{url: "redis://" + l.Addr().String(), conns: map[net.Conn]bool{}}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			back, err := net.Dial("tcp", server)
			if err != nil {
				client.Close()
				continue
			}
			if !p.keep(client, back) {
				continue
			}
			all.Go(func() { p.forth(client, back) })
			all.Go(func() { p.back(client, back) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.mu.Lock()
		p.closed = true
		for c := range p.conns {
			c.Close()
		}
		p.mu.Unlock()
		all.Wait()
	})
	return p
}

func (p *proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		if p.closed {
			c.Close()
			continue
		}
		p.conns[c] = true
	}
	return !p.closed
}

// forth reads commands, which are arrays of texts, and passes them on.
func (p *proxy) forth(client, back net.Conn) {
	defer client.Close()
	defer back.Close()
	r := bufio.NewReader(client)
	for {
		words, raw, err := readCommand(r)
		if err != nil {
			return
		}
		name := strings.ToUpper(words[0])
		p.mu.Lock()
		if name != "HELLO" && name != "CLIENT" {
			p.commands = append(p.commands, name)
		}
		answer := p.answer
		p.mu.Unlock()
		if answer != "" && strings.HasPrefix(name, "EVAL") {
			_, err = io.WriteString(client, answer+"\r\n")
		} else {
			_, err = back.Write(raw)
		}
		if err != nil {
			return
		}
	}
}

func (p *proxy) back(client, back net.Conn) {
	defer client.Close()
	defer back.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := back.Read(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		cut := p.cut
		p.cut = false
		p.mu.Unlock()
		if cut {
			return // the server has carried out the command
		}
		if _, err := client.Write(buf[:n]); err != nil {
			return
		}
	}
}

func readCommand(r *bufio.Reader) (words []string, raw []byte, err error) {
	line := func() (int, error) {
		s, err := r.ReadString('\n')
		raw = append(raw, s...)
		if err != nil || len(s) < 4 {
			return 0, io.ErrUnexpectedEOF
		}
		return strconv.Atoi(strings.TrimSpace(s[1:]))
	}
	n, err := line()
	for range n {
		if err != nil {
			return nil, nil, err
		}
		size, err := line()
		if err != nil {
			return nil, nil, err
		}
		word := make([]byte, size+2)
		if _, err := io.ReadFull(r, word); err != nil {
			return nil, nil, err
		}
		raw = append(raw, word...)
		words = append(words, string(word[:size]))
	}
	if err == nil && len(words) == 0 {
		err = io.ErrUnexpectedEOF
	}
	return words, raw, err
}

func (p *proxy) cutNext() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
}

func (p *proxy) answerWith(reply string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = reply
}

// seen are the commands since the last call.
func (p *proxy) seen() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.commands
	p.commands = nil
	return c
}
