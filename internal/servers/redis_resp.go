//go:build unix

package servers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// askTime bounds one command to a Redis server: a frozen one accepts connections and never answers.
const askTime = time.Second

// RedisError is what a Redis server answered instead of a result.
type RedisError string

func (e RedisError) Error() string { return string(e) }

// Ask sends one command to the Redis server (or sentinel) at an address, on a connection of its own, and returns the
// answer: a string, an int64, nil, or a slice of these. It gives up after a second, or when ctx ends.
func Ask(ctx context.Context, address string, command ...string) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	deadline, _ := ctx.Deadline()
	_ = c.SetDeadline(deadline)
	out := fmt.Appendf(nil, "*%d\r\n", len(command))
	for _, word := range command {
		out = fmt.Appendf(out, "$%d\r\n%s\r\n", len(word), word)
	}
	if _, err := c.Write(out); err != nil {
		return nil, err
	}
	return readReply(bufio.NewReader(c))
}

// readReply reads one answer in RESP version 2.
func readReply(r *bufio.Reader) (any, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	if len(line) < 3 {
		return nil, fmt.Errorf("an answer in no form of Redis: %q", line)
	}
	kind, rest := line[0], line[1:len(line)-2]
	switch kind {
	case '+':
		return rest, nil
	case '-':
		return nil, RedisError(rest)
	}
	n, err := strconv.ParseInt(rest, 10, 64)
	switch {
	case err != nil:
		return nil, fmt.Errorf("an answer in no form of Redis: %q", line)
	case kind == ':':
		return n, nil
	case n < 0:
		return nil, nil
	case kind == '$':
		b := make([]byte, n+2)
		_, err := io.ReadFull(r, b)
		return string(b[:n]), err
	case kind != '*':
		return nil, fmt.Errorf("an answer in no form of Redis: %q", line)
	}
	list := make([]any, n)
	for i := range list {
		var refused RedisError
		if list[i], err = readReply(r); errors.As(err, &refused) {
			list[i] = refused
		} else if err != nil {
			return nil, err
		}
	}
	return list, nil
}
