package main

import (
	"bufio"
	"errors"
	"io"
	"strings"
)

// event is one server-sent event.
type event struct {
	id, typ string
	data    []byte
}

const maxEvent = 16 << 20 // bytes of one line

// readEvents calls f for every event of a stream until f says stop, or the stream ends: then the error is io.EOF, or
// what broke it.
func readEvents(r io.Reader, f func(event) (more bool, err error)) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), maxEvent)
	var e event
	var data []string
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case lines.Text() == "":
			if data != nil {
				e.data = []byte(strings.Join(data, "\n"))
				if more, err := f(e); err != nil || !more {
					return err
				}
			}
			e, data = event{}, nil
		case name == "id":
			e.id = value
		case name == "event":
			e.typ = value
		case name == "data":
			data = append(data, value)
		}
	}
	if err := lines.Err(); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return io.EOF
}
