package gemini

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
)

const (
	maxAnswer = 8 << 20 // bytes of text and arguments in one answer
	maxCalls  = 128     // tool calls in one answer
)

var (
	errUnfinished = errors.New("the answer ended without a finish reason")
	errTooBig     = errors.New("the answer is longer than 8 MiB or has more than 128 tool calls")
)

// chunk is the part of a chunk of the stream that is used. The SDK's own types would refuse a whole chunk for one field
// of another shape, and turn arguments into floating-point numbers.
type chunk struct {
	Candidates     []candidate     `json:"candidates"`
	PromptFeedback *feedback       `json:"promptFeedback"`
	Usage          *usage          `json:"usageMetadata"`
	Model          string          `json:"modelVersion"`
	Error          json.RawMessage `json:"error"`
}

type feedback struct {
	BlockReason string `json:"blockReason"`
	Message     string `json:"blockReasonMessage"`
}

type candidate struct {
	Index   int `json:"index"`
	Content struct {
		Parts []part `json:"parts"`
	} `json:"content"`
	FinishReason  string `json:"finishReason"`
	FinishMessage string `json:"finishMessage"`
}

type part struct {
	Text    string        `json:"text"`
	Thought bool          `json:"thought"`
	Call    *functionCall `json:"functionCall"`
}

type functionCall struct {
	ID           string          `json:"id"`
	Name         string          `json:"name"`
	Args         json.RawMessage `json:"args"`
	WillContinue bool            `json:"willContinue"`
}

// usage counts tokens. Thoughts and what tools of the provider read are counted apart from the others.
type usage struct {
	Prompt     int64 `json:"promptTokenCount"`
	ToolPrompt int64 `json:"toolUsePromptTokenCount"`
	Cached     int64 `json:"cachedContentTokenCount"`
	Candidates int64 `json:"candidatesTokenCount"`
	Thoughts   int64 `json:"thoughtsTokenCount"`
}

// assembly puts an answer together.
type assembly struct {
	model   string
	text    strings.Builder
	calls   []*functionCall
	finish  string
	remark  string // what the provider says about the finish
	usage   model.Usage
	size    int
	skipped int // chunks that were not JSON
}

// read takes in the whole response. An error other than *problem says that it did not come whole.
func (a *assembly) read(ctx context.Context, res *http.Response, emit func(model.Chunk)) error {
	if emit == nil {
		emit = func(model.Chunk) {}
	}
	if media, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")); media == "application/json" {
		return a.readWhole(res.Body, emit)
	}
	stream := model.NewEvents(res.Body)
	for {
		data, err := stream.Next()
		switch {
		case err == nil:
		case a.finish != "" && !errors.Is(err, model.ErrEventTooLong): // the terminal event was seen; what follows is optional
			return nil
		case errors.Is(err, io.EOF):
			return errUnfinished
		default:
			return err
		}
		text, err := a.add(bytes.TrimSpace(data))
		if err != nil {
			return err
		}
		if text != "" && ctx.Err() == nil {
			emit(model.Chunk{Text: text})
		}
	}
}

// readWhole takes in an answer that was not sent as events: one chunk, or a list of them.
func (a *assembly) readWhole(body io.Reader, emit func(model.Chunk)) error {
	data, err := io.ReadAll(io.LimitReader(body, maxAnswer+1))
	switch {
	case err != nil:
		return err
	case len(data) > maxAnswer:
		return errTooBig
	}
	var list []json.RawMessage
	if json.Unmarshal(data, &list) != nil {
		list = []json.RawMessage{data}
	}
	all := ""
	for _, data := range list {
		text, err := a.add(data)
		if err != nil {
			return err
		}
		all += text
	}
	if a.finish == "" {
		return errUnfinished
	}
	if all != "" {
		emit(model.Chunk{Text: all})
	}
	return nil
}

// add takes in one chunk and returns the text that it adds. An error in it is a *problem.
func (a *assembly) add(data []byte) (string, error) {
	var c chunk
	if err := json.Unmarshal(data, &c); err != nil {
		if p := looseProblem(data); p != nil {
			return "", p
		}
		a.skipped++ // counts only if the stream does not go on to its end
		return "", nil
	}
	if p := parseProblem(c.Error); p != nil {
		return "", p
	}
	if c.Model != "" {
		a.model = c.Model
	}
	if u := c.Usage; u != nil {
		a.usage = model.Usage{Input: u.Prompt + u.ToolPrompt, Cached: u.Cached, Output: u.Candidates + u.Thoughts}
	}
	if f := c.PromptFeedback; f != nil && f.BlockReason != "" && f.BlockReason != "BLOCKED_REASON_UNSPECIFIED" {
		return "", &problem{kind: fault.Refused, msg: strings.TrimSpace("the prompt was blocked: " + f.BlockReason + " " + f.Message)}
	}
	added := ""
	for i := range c.Candidates {
		if c.Candidates[i].Index == 0 { // only one was asked for
			added += a.addCandidate(&c.Candidates[i])
		}
	}
	if a.size > maxAnswer || len(a.calls) > maxCalls {
		return "", errTooBig
	}
	return added, nil
}

func (a *assembly) addCandidate(c *candidate) string {
	text := ""
	for i := range c.Content.Parts {
		p := &c.Content.Parts[i]
		switch {
		case p.Call != nil:
			a.calls = append(a.calls, p.Call)
			a.size += len(p.Call.Args) + len(p.Call.Name) + len(p.Call.ID)
		case !p.Thought:
			text += p.Text
		}
	}
	a.text.WriteString(text)
	a.size += len(text)
	if c.FinishReason != "" && c.FinishReason != "FINISH_REASON_UNSPECIFIED" {
		a.finish, a.remark = c.FinishReason, c.FinishMessage
	}
	return text
}
