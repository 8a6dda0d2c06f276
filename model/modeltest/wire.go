package modeltest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/agentkernel/agentkernel/model"
)

// Format names the wire format of a provider. A Server speaks all of them at once, told apart by the path.
type Format string

// The formats, and where a Server answers them.
const (
	OpenAI    Format = "openai"    // chat completions: /v1/chat/completions
	Anthropic Format = "anthropic" // messages: /v1/messages
	Gemini    Format = "gemini"    // generateContent: /v1beta/models/{model}:streamGenerateContent
	Bedrock   Format = "bedrock"   // Converse: /model/{model}/converse-stream
)

// wires has one line for each format that is spoken.
var wires = []wire{
	bedrockWire{},
	anthropicWire{},
	geminiWire{},
	openaiWire{},
}

// wire is how one format is read and written. It keeps nothing: a Server and many requests share one. Faults are the
// same for all formats and are not its business; it only says what the pieces look like.
type wire interface {
	format() Format

	// base is what the base URL of the format's clients has after the server's address, such as /v1.
	base() string

	// routes are the patterns, as http.ServeMux takes them, of the requests that ask for an answer.
	routes() []string

	// parse reads a request as the real server would: a conversation that it would refuse is an error, whose text
	// becomes the refusal's message. Each tool result becomes a message of its own.
	parse(r *http.Request, body []byte) (*asked, error)

	// streamType is the content type of a stream.
	streamType() string

	// frames are the pieces of a stream, in order.
	frames(in *asked, out *reply) []frame

	// whole is the JSON body of an answer that is not streamed.
	whole(out *reply) []byte

	// malformed is a frame, with its framing, that cannot be read.
	malformed() []byte

	// errorFrame is the frame, with its framing, of an error inside a stream.
	errorFrame(e *WireError) []byte

	// refusal is the body of a response with an error status; it may set headers beside the content type, which is
	// JSON unless it says otherwise. It is also the body of a 200 that is not streamed and holds an error.
	refusal(h http.Header, status int, e *WireError) []byte

	// invalid and noModel are the refusals that the real server gives to a request that makes no sense, and to one for
	// a model that it does not have.
	invalid(text string) (int, *WireError)
	noModel(name string) (int, *WireError)

	// profile is what a provider has to make of the format.
	profile() *profile
}

// asked is what a request says.
type asked struct {
	req    *model.Request
	stream bool
	usage  bool // it wants usage in the stream, in formats that let it choose
}

// frame is one piece of a stream, with its framing: what the points of a Step count.
type frame struct {
	data   []byte
	finish bool // it carries the finish reason
	end    bool // once it was read the answer counts; the terminal event of the format
	closer bool // it only closes the stream; left out by Step.NoDone
}

// reply is an answer, changed as a step says, before it is written in the words of a format.
type reply struct {
	call   int // the number of the request, for ids
	model  string
	text   string
	calls  []replyCall
	finish string // stop, tool_calls, length or content_filter, or a format's own word; empty: never said
	usage  model.Usage
}

type replyCall struct{ id, name, args string }

// halves cuts arguments in two, not inside a letter.
func (c replyCall) halves() (string, string) {
	cut := len(c.args) / 2
	for cut > 0 && !utf8.RuneStart(c.args[cut]) {
		cut--
	}
	return c.args[:cut], c.args[cut:]
}

var finishWords = map[model.Finish]string{
	model.FinishStop: "stop", model.FinishCalls: "tool_calls", model.FinishLength: "length",
}

func newReply(call int, a *model.Answer, step *Step) *reply {
	r := &reply{call: call, model: a.Model, text: a.Message.Text(), finish: finishWords[a.Finish], usage: a.Usage}
	r.usage.Cached = min(step.Cached, r.usage.Input)
	for _, c := range a.Message.Calls() {
		r.calls = append(r.calls, replyCall{c.ID, c.Name, string(c.Args)})
	}
	if step.Empty {
		r.text, r.calls, r.finish = "", nil, "stop"
	}
	if step.Finish != "" {
		r.finish = step.Finish
	}
	if step.UnfinishedCall {
		if len(r.calls) == 0 { // the reply calls nothing, so that there is something to leave unfinished
			r.calls, r.finish = []replyCall{{"call_unfinished", "unfinished", `{"text":"more"}`}}, "tool_calls"
		}
		args := &r.calls[len(r.calls)-1].args
		*args = (*args)[:(len(*args)+1)/2]
	}
	if step.NoFinish {
		r.finish = ""
	}
	return r
}

// finishIn is the finish reason in a format's own word; a word that the format has no other for is sent as it is.
func (r *reply) finishIn(words map[string]string) string {
	if own, ok := words[r.finish]; ok {
		return own
	}
	return r.finish
}

// wireOf is the wire of a format; the empty one is OpenAI's.
func wireOf(f Format) (wire, error) {
	if f == "" {
		f = OpenAI
	}
	var names []string
	for _, w := range wires {
		if w.format() == f {
			return w, nil
		}
		names = append(names, string(w.format()))
	}
	slices.Sort(names)
	return nil, fmt.Errorf("the format %q is not spoken here, only %s", f, strings.Join(names, ", "))
}

// event is a server-sent event; name may be empty.
func event(name string, data []byte) []byte {
	buf := make([]byte, 0, len(name)+len(data)+20)
	if name != "" {
		buf = append(append(append(buf, "event: "...), name...), '\n')
	}
	buf = append(append(buf, "data: "...), data...)
	return append(buf, "\n\n"...)
}

func encode(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // these are plain structs of strings and numbers, and raw JSON that was decoded before
	}
	return data
}

// null is text, or the null that most formats write for what is empty.
func null(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func isObject(text string) bool {
	var m map[string]json.RawMessage
	return json.Unmarshal([]byte(text), &m) == nil && m != nil
}

// pairs follows the calls of a conversation that have no result yet.
type pairs map[string]string // id to tool name

// open notes a call of an assistant message.
func (p pairs) open(id, name, args string) (model.Part, error) {
	if _, twice := p[id]; id == "" || twice {
		return model.Part{}, fmt.Errorf("the call id %q is empty or used twice", id)
	}
	if !isObject(args) {
		return model.Part{}, fmt.Errorf("the arguments of call %s are not a JSON object", id)
	}
	p[id] = name
	return model.Part{Call: &model.Call{ID: id, Name: name, Args: json.RawMessage(args)}}, nil
}

// answer is the message of a tool's result.
func (p pairs) answer(id, content string, isError bool) (model.Message, error) {
	name, ok := p[id]
	if !ok {
		return model.Message{}, fmt.Errorf("the result for %q answers no call of the message before", id)
	}
	delete(p, id)
	result := &model.Result{CallID: id, Name: name, Content: content, IsError: isError}
	return model.Message{Role: model.ToolRole, Parts: []model.Part{{Result: result}}}, nil
}

// missing is an error if a call has no result, where one has to be by now.
func (p pairs) missing() error {
	if len(p) == 0 {
		return nil
	}
	return fmt.Errorf("%d tool calls of the message before have no result", len(p))
}
