package model

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// maxEvent bounds the bytes of one event, and so what a broken server can make us hold.
const maxEvent = 8 << 20

// ErrEventTooLong is what Events.Next returns for an event of more than 8 MiB; nothing more can be read after it.
var ErrEventTooLong = errors.New("an event of the stream is longer than 8 MiB")

// Events reads the data of server-sent events, for providers. Names, ids and comments are passed over: the formats say
// the same in the data.
type Events struct {
	r    *bufio.Reader
	line []byte
	data []byte
	any  bool // the event has a data line
	end  error
}

// NewEvents reads events from r.
func NewEvents(r io.Reader) *Events { return &Events{r: bufio.NewReaderSize(r, 16<<10)} }

// Next is the data of the next event; it is valid until the following call. At the stream's regular end it is io.EOF,
// after what came last even if no blank line closed it: whether that is whole is for the JSON parser to say.
func (e *Events) Next() ([]byte, error) {
	e.data, e.any = e.data[:0], false
	for e.end == nil {
		line, err := e.readLine()
		e.end = err
		if err != nil && !errors.Is(err, io.EOF) {
			break
		}
		if len(line) == 0 {
			if e.any {
				return e.data, nil
			}
			continue
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		if string(name) != "data" {
			continue
		}
		if len(e.data)+len(value) >= maxEvent {
			e.end = ErrEventTooLong
			break
		}
		if e.any {
			e.data = append(e.data, '\n')
		}
		e.data = append(e.data, bytes.TrimPrefix(value, []byte(" "))...)
		e.any = true
	}
	if e.any && errors.Is(e.end, io.EOF) {
		return e.data, nil
	}
	return nil, e.end
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// readLine reads a line without its end, of at most maxEvent bytes.
func (e *Events) readLine() ([]byte, error) {
	e.line = e.line[:0]
	for {
		part, err := e.r.ReadSlice('\n')
		if len(e.line)+len(part) > maxEvent {
			return nil, ErrEventTooLong
		}
		e.line = append(e.line, part...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		line := bytes.TrimSuffix(bytes.TrimSuffix(e.line, []byte("\n")), []byte("\r"))
		return bytes.TrimPrefix(line, byteOrderMark), err
	}
}
