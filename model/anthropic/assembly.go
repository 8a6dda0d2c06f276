package anthropic

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
)

const (
	maxAnswer = 8 << 20 // bytes of text and arguments in one answer
	maxBlocks = 512     // blocks in one answer
)

var (
	errUnfinished = errors.New("the answer ended without message_stop")
	errTooBig     = errors.New("the answer is longer than 8 MiB or has more than 512 blocks")
)

// event is the part of an event, or of a whole message, that is used.
type event struct {
	Type    string  `json:"type"`
	Index   int     `json:"index"`
	Message message `json:"message"`
	Block   block   `json:"content_block"`
	Delta   delta   `json:"delta"`
	Usage   *usage  `json:"usage"`
}

type message struct {
	Type       string  `json:"type"`
	Model      string  `json:"model"`
	Content    []block `json:"content"`
	StopReason string  `json:"stop_reason"`
	Usage      *usage  `json:"usage"`
}

type block struct {
	Type  string          `json:"type"`
	Text  string          `json:"text"`
	ID    string          `json:"id"`
	Name  string          `json:"name"`
	Input json.RawMessage `json:"input"`
}

type delta struct {
	Type        string `json:"type"`
	Text        string `json:"text"`
	PartialJSON string `json:"partial_json"`
	StopReason  string `json:"stop_reason"`
}

// usage has pointers because the last report replaces only the numbers that it has.
type usage struct {
	Input      *int64 `json:"input_tokens"`
	CacheRead  *int64 `json:"cache_read_input_tokens"`
	CacheWrite *int64 `json:"cache_creation_input_tokens"`
	Output     *int64 `json:"output_tokens"`
}

// assembly puts an answer together.
type assembly struct {
	model  string
	text   strings.Builder
	blocks map[int]*partial
	calls  []*partial // those of the blocks that are tool calls, in order
	stop   string
	done   bool // message_stop was seen

	input, cacheRead, cacheWrite, output int64

	size int
}

// partial is a block as it comes.
type partial struct {
	block
	args   []byte
	closed bool
}

// read takes in the whole response. Its error is a *problem if the server reported one; any other says that the answer
// did not come whole.
func (a *assembly) read(ctx context.Context, res *http.Response, emit func(model.Chunk)) error {
	if emit == nil {
		emit = func(model.Chunk) {}
	}
	if media, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")); media == "application/json" {
		return a.readWhole(res.Body, emit)
	}
	for stream := model.NewEvents(res.Body); ; {
		data, err := stream.Next()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = errUnfinished
			}
			return err
		}
		text, err := a.add(data)
		if err != nil {
			return err
		}
		if text != "" && ctx.Err() == nil {
			emit(model.Chunk{Text: text})
		}
		if a.done {
			model.Drain(res.Body)
			return nil
		}
	}
}

// readWhole takes in an answer that a gateway did not stream.
func (a *assembly) readWhole(body io.Reader, emit func(model.Chunk)) error {
	data, err := io.ReadAll(io.LimitReader(body, maxAnswer+1))
	switch {
	case err != nil:
		return err
	case len(data) > maxAnswer:
		return errTooBig
	}
	var m message
	if p := parseProblem(data); p != nil {
		return p
	}
	if err := json.Unmarshal(data, &m); err != nil || m.Type != "message" {
		return errUnfinished
	}
	a.begin(&m)
	for i, b := range m.Content {
		if err := a.open(i, b); err != nil {
			return err
		}
		a.blocks[i].closed = true
	}
	a.stop, a.done = m.StopReason, true
	if text := a.text.String(); text != "" {
		emit(model.Chunk{Text: text})
	}
	return nil
}

// add takes in one event and returns the text that it adds.
func (a *assembly) add(data []byte) (string, error) {
	var e event
	if err := json.Unmarshal(data, &e); err != nil {
		// A lost piece cannot be told from one that was not needed, so the answer does not count.
		return "", fmt.Errorf("an event is not readable: %w", err)
	}
	before := a.text.Len()
	switch e.Type {
	case "error":
		if p := parseProblem(data); p != nil {
			return "", p
		}
		return "", &problem{}
	case "message_start":
		a.begin(&e.Message)
	case "content_block_start":
		if err := a.open(e.Index, e.Block); err != nil {
			return "", err
		}
	case "content_block_delta":
		if err := a.extend(e.Index, &e.Delta); err != nil {
			return "", err
		}
	case "content_block_stop":
		if b := a.blocks[e.Index]; b != nil {
			b.closed = true
		}
	case "message_delta":
		if e.Delta.StopReason != "" {
			a.stop = e.Delta.StopReason
		}
		a.count(e.Usage)
	case "message_stop":
		a.done = true
	}
	return a.text.String()[before:], nil
}

func (a *assembly) begin(m *message) {
	if m.Model != "" {
		a.model = m.Model
	}
	a.count(m.Usage)
}

func (a *assembly) count(u *usage) {
	if u == nil {
		return
	}
	for _, n := range []struct{ from, to *int64 }{
		{u.Input, &a.input}, {u.CacheRead, &a.cacheRead}, {u.CacheWrite, &a.cacheWrite}, {u.Output, &a.output},
	} {
		if n.from != nil {
			*n.to = *n.from
		}
	}
}

// open begins a block. Text goes into the one text of the answer.
func (a *assembly) open(index int, b block) error {
	if a.blocks == nil {
		a.blocks = map[int]*partial{}
	}
	if a.blocks[index] != nil {
		return fmt.Errorf("block %d began twice", index)
	}
	if len(a.blocks) == maxBlocks {
		return errTooBig
	}
	p := &partial{block: b}
	a.blocks[index] = p
	switch b.Type {
	case "text":
		return a.grow(len(b.Text), func() { a.text.WriteString(b.Text) })
	case "tool_use":
		a.calls = append(a.calls, p)
	}
	return a.grow(len(b.Input), func() {})
}

func (a *assembly) extend(index int, d *delta) error {
	p := a.blocks[index]
	switch {
	case p == nil:
		return fmt.Errorf("a piece of block %d came before its beginning", index)
	case d.Type == "text_delta" && p.Type == "text":
		return a.grow(len(d.Text), func() { a.text.WriteString(d.Text) })
	case d.Type == "input_json_delta" && p.Type == "tool_use":
		return a.grow(len(d.PartialJSON), func() { p.args = append(p.args, d.PartialJSON...) })
	}
	return nil // thinking, citations and what may come to be
}

func (a *assembly) grow(n int, do func()) error {
	if a.size += n; a.size > maxAnswer {
		return errTooBig
	}
	do()
	return nil
}

// answer checks what was put together. Its error has a kind.
func (a *assembly) answer() (*model.Answer, error) {
	end, known := finishes[a.stop]
	switch {
	case a.stop == "":
		return nil, fault.New(fault.Truncated, "", "the answer ended without a stop reason")
	case !known:
		return nil, fault.New(fault.Unknown, "", "the stop reason %q is not known", a.stop)
	case end.kind != "":
		return nil, fault.New(end.kind, "", "the answer ended with %q", a.stop)
	}
	answer := &model.Answer{
		Message: model.Message{Role: model.Assistant}, Finish: end.finish, Model: a.model,
		Usage: model.Usage{Input: a.input + a.cacheRead + a.cacheWrite, Cached: a.cacheRead, Output: a.output},
	}
	if a.text.Len() > 0 {
		answer.Message.Parts = append(answer.Message.Parts, model.Part{Text: a.text.String()})
	}
	for i, c := range a.calls {
		if !c.closed {
			return nil, fault.New(fault.Truncated, "", "tool call %d (%s) was not finished", i+1, c.Name)
		}
		args := c.args
		if len(args) == 0 {
			args = c.Input
		}
		id := c.ID
		if id == "" {
			id = fmt.Sprintf("call_%d", i)
		}
		call, err := model.CallOf(i, id, c.Name, args)
		if err != nil {
			return nil, err
		}
		answer.Message.Parts = append(answer.Message.Parts, model.Part{Call: call})
	}
	if err := model.Settle(answer); err != nil {
		return nil, err
	}
	return answer, nil
}
