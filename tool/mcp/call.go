package mcptool

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/internal/schema"
)

// The names under which a call's idempotency key and epoch are in a request's _meta.
const (
	MetaKey   = "agentkernel/idempotency_key"
	MetaEpoch = "agentkernel/epoch"
)

// remote is one tool of a server.
type remote struct {
	c    *Client
	name string            // at the server
	args *schema.Validator // nil accepts everything
}

// Call sends the call and makes its outcome of what comes back.
func (r *remote) Call(ctx context.Context, c agentkernel.ToolCall) (string, error) {
	args := bytes.TrimSpace(c.Args)
	if len(args) == 0 {
		args = []byte("{}")
	}
	var err error
	if args[0] != '{' || !json.Valid(args) {
		err = errors.New("they are no JSON object")
	} else if r.args != nil {
		err = r.args.Check(args)
	}
	if err != nil {
		return "", fault.New(fault.BadRequest, "", "the arguments do not fit the tool's parameters, so nothing was done: %w", err)
	}
	for again := false; ; again = true {
		l, err := r.c.connected(ctx)
		if err != nil {
			return "", fault.New(fault.KindOf(err), "", "the call was not sent: %s", err.Error()).WithAfter(fault.After(err))
		}
		if l.tools[r.name] == nil {
			return "", fault.New(fault.NotFound, "", "the server was started anew and has no tool %s any more, so nothing was done", r.name)
		}
		res, err := r.send(ctx, l, c, args)
		if errors.Is(err, errElsewhere) {
			r.c.drop(l)
			if !again && ctx.Err() == nil {
				continue
			}
		}
		if err != nil {
			return "", err
		}
		return r.resultOf(res)
	}
}

// send sends the call over one connection, once.
func (r *remote) send(ctx context.Context, l *link, c agentkernel.ToolCall, args json.RawMessage) (*mcp.CallToolResult, error) {
	own, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(l.ctx, stop)()
	own, f := withFlight(own)
	before := l.written()
	res, err := l.session.CallTool(own, &mcp.CallToolParams{
		Meta: mcp.Meta{MetaKey: c.Key, MetaEpoch: c.Epoch}, Name: r.name, Arguments: args,
	})
	if err == nil {
		return res, nil
	}
	if ctx.Err() == nil && errors.Is(err, context.Canceled) {
		err = errElsewhere // it ended with the connection, not with its caller
	}
	return nil, r.failure(l, f, l.written() != before || f.left.Load(), err)
}

// refusals are the errors with which a server says that it did not begin.
var refusals = []int64{jsonrpc.CodeParseError, jsonrpc.CodeInvalidRequest, jsonrpc.CodeMethodNotFound, jsonrpc.CodeInvalidParams}

// errElsewhere says that the connection is of no use any more, and that nothing happened: another one may take the call.
var errElsewhere = errors.New("the connection was lost")

// failure is the outcome of a call that has no result. Whether something was sent is known from the connection, not from
// the library's errors: to it, every failed HTTP request was not sent.
func (r *remote) failure(l *link, f *flight, sent bool, err error) error {
	text := r.c.scrub.plain(err)
	if !sent && (l.proc != nil || l.lost.Load() || errors.Is(err, mcp.ErrConnectionClosed)) {
		return fault.New(fault.Unavailable, "", "the call was not sent: %s: %w", text, errElsewhere)
	}
	if !sent {
		return fault.New(fault.Unavailable, "", "the call was not sent: %s", text)
	}
	status := int(f.status.Load())
	var said *jsonrpc.Error
	switch {
	case status == http.StatusNotFound && l.session.ID() != "":
		return fault.New(fault.Unavailable, "", "the server refused the call: it does not know the session: %w", errElsewhere)
	case errors.As(err, &said) && slices.Contains(refusals, said.Code):
		return fault.New(fault.BadRequest, "", "the server refused the call: %s", r.c.scrub.clean(said.Message))
	case status >= 400 && status <= 499:
		return fault.New(kindOfStatus(status), "", "the server refused the call: it answered %s", strings.TrimSpace(fmt.Sprint(status, " ", http.StatusText(status))))
	}
	kind := fault.KindOf(err)
	if kind == fault.Unknown {
		kind = fault.Transient
	}
	return agentkernel.Unclear(fault.New(kind, "", "the call was sent, and no result came: %s", text))
}

func kindOfStatus(status int) fault.Kind {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fault.Auth
	case http.StatusTooManyRequests:
		return fault.Throttled
	}
	return fault.Invalid
}

// resultOf is a result as a model is shown it.
func (r *remote) resultOf(res *mcp.CallToolResult) (string, error) {
	if res.NeedsInput() {
		return "", fault.New(fault.Unsupported, "", "the tool asks for more input before it goes on, and cannot be given any: use other arguments")
	}
	text := resultText(res)
	if !res.IsError {
		return r.c.hush.clean(text), nil
	}
	if text == "" {
		text = "the tool failed and did not say why"
	}
	return "", fault.New(fault.Unknown, "", "%s", r.c.scrub.clean(text))
}

// resultText joins the parts of a result: texts as they are, a word about anything that is no text, and the structured
// result unless one of the texts is the same.
func resultText(res *mcp.CallToolResult) string {
	var parts []string
	omitted := func(what, mime string, size int) {
		parts = append(parts, fmt.Sprintf("[%s, %s, %d bytes: not shown]", what, mime, size))
	}
	for _, content := range res.Content {
		switch v := content.(type) {
		case *mcp.TextContent:
			parts = append(parts, v.Text)
		case *mcp.ImageContent:
			omitted("image", v.MIMEType, len(v.Data))
		case *mcp.AudioContent:
			omitted("audio", v.MIMEType, len(v.Data))
		case *mcp.ResourceLink:
			parts = append(parts, fmt.Sprintf("[resource %s: %s]", v.Name, v.URI))
		case *mcp.EmbeddedResource:
			switch {
			case v.Resource == nil:
			case v.Resource.Text != "":
				parts = append(parts, v.Resource.Text)
			default:
				omitted("resource "+v.Resource.URI, v.Resource.MIMEType, len(v.Resource.Blob))
			}
		default:
			parts = append(parts, fmt.Sprintf("[content of type %T: not shown]", content))
		}
	}
	if res.StructuredContent != nil {
		structured, err := json.Marshal(res.StructuredContent)
		if err == nil && !slices.ContainsFunc(parts, func(p string) bool { return sameJSON(p, res.StructuredContent) }) {
			parts = append(parts, string(structured))
		}
	}
	return strings.Join(parts, "\n")
}

// sameJSON reports whether a text is the JSON of a value.
func sameJSON(text string, value any) bool {
	var v any
	if json.Unmarshal([]byte(text), &v) != nil {
		return false
	}
	a, errA := json.Marshal(v)
	b, errB := json.Marshal(value)
	return errA == nil && errB == nil && bytes.Equal(a, b)
}
