package httptool

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/internal/schema"
)

const (
	defaultHookTime = 5 * time.Second
	maxHookAnswer   = 1 << 20 // bytes
)

// HookSpec says which service is asked about a turn. Name and Request.URL are required.
type HookSpec struct {
	Name    string        // unique among the agent's hooks
	Request Request       // POST, with a URL that has no placeholders
	Timeout time.Duration // for one answer, 5s by default
}

// hook is a checked HookSpec.
type hook struct {
	spec     HookSpec
	client   *Client
	request  *request
	scrubber scrubber // for errors
	hush     scrubber // for answers
}

// about is what a service is told of a turn.
type about struct {
	Session string          `json:"session_id"`
	Tenant  string          `json:"tenant,omitempty"`
	Turn    string          `json:"turn_id"`
	Agent   string          `json:"agent"`
	Prompt  string          `json:"prompt"`
	Extra   json.RawMessage `json:"extra,omitempty"`
	Reply   *string         `json:"reply,omitempty"` // after the agent only
}

// opinion is what a service answers. At most one of its fields is set.
type opinion struct {
	Reply  *string `json:"reply"`
	Note   *string `json:"note"` // before the agent only
	Refuse *string `json:"refuse"`
}

// HookBefore makes a hook that asks a service ahead of an agent's turns. The error is of kind fault.Config and names
// everything that is wrong with the spec.
func (c *Client) HookBefore(spec HookSpec) (agentkernel.Hook, error) {
	h, err := c.hook(spec)
	if err != nil {
		return agentkernel.Hook{}, err
	}
	return agentkernel.Hook{Name: spec.Name, Before: h.before}, nil
}

// HookAfter makes a hook that asks a service about the replies to an agent's turns. The error is as HookBefore's.
func (c *Client) HookAfter(spec HookSpec) (agentkernel.Hook, error) {
	h, err := c.hook(spec)
	if err != nil {
		return agentkernel.Hook{}, err
	}
	return agentkernel.Hook{Name: spec.Name, After: h.after}, nil
}

func (c *Client) hook(spec HookSpec) (*hook, error) {
	var errs []error
	if spec.Name == "" {
		errs = append(errs, errors.New("the name is missing"))
	}
	if spec.Timeout < 0 {
		errs = append(errs, errors.New("the timeout is negative"))
	}
	spec.Timeout = cmp.Or(spec.Timeout, defaultHookTime)
	r := check("request", spec.Request, http.MethodPost, &errs)
	if r.method != http.MethodPost {
		errs = append(errs, fmt.Errorf("request: hooks are asked with POST, not %s", r.method))
	}
	if len(r.template.names) > 0 {
		errs = append(errs, errors.New("request: url: nothing is put in for a placeholder"))
	}
	if len(errs) > 0 {
		return nil, fault.New(fault.Config, "httptool.Hook", "hook %s: %w", spec.Name, errors.Join(errs...))
	}
	return &hook{spec: spec, client: c, request: r, scrubber: newScrubber(r), hush: newHush(r)}, nil
}

func (h *hook) before(ctx context.Context, t *agentkernel.Turn) (agentkernel.Verdict, error) {
	var v agentkernel.Verdict
	o, err := h.ask(ctx, tell(t))
	switch {
	case err != nil:
		return v, err
	case o.Note != nil:
		v.Note = *o.Note
	case o.Reply != nil:
		reply, err := h.reply(t, *o.Reply)
		if err != nil {
			return v, err
		}
		v.Reply = &reply
	}
	return v, nil
}

func (h *hook) after(ctx context.Context, t *agentkernel.Turn, reply agentkernel.Reply) (agentkernel.Reply, error) {
	a := tell(t)
	a.Reply = &reply.Text
	o, err := h.ask(ctx, a)
	switch {
	case err != nil:
		return reply, err
	case o.Note != nil:
		return reply, h.senseless("it has a note, and the agent has answered already")
	case o.Reply == nil:
		return reply, nil
	}
	changed, err := h.reply(t, *o.Reply)
	changed.Degraded = reply.Degraded
	return changed, err
}

// tell describes a turn.
func tell(t *agentkernel.Turn) about {
	return about{
		Session: t.Session(), Tenant: t.Tenant(), Turn: t.ID(), Agent: t.Agent().Name, Prompt: t.Input().Text(), Extra: t.Extra(),
	}
}

// reply is a reply with the service's text, which must fit what the agent's replies have to fit.
func (h *hook) reply(t *agentkernel.Turn, text string) (agentkernel.Reply, error) {
	r := agentkernel.Reply{Text: text}
	if text == "" {
		return r, h.senseless("its reply is empty")
	}
	if wanted := t.Agent().OutputSchema; len(wanted) > 0 {
		v, err := schema.Compile(wanted)
		if err == nil {
			err = v.Check([]byte(text))
		}
		if err != nil {
			return r, h.senseless("its reply does not fit the agent's output_schema: " + err.Error())
		}
		r.Value = json.RawMessage(text)
	}
	return r, nil
}

// ask sends the question and reads the answer. Whatever is no clear answer is an error: a turn must not go on because
// the service that would have refused it is down.
func (h *hook) ask(ctx context.Context, a about) (*opinion, error) {
	body, err := json.Marshal(a)
	if err != nil {
		return nil, fault.New(fault.Internal, "", "hook %s cannot be told of the turn: %w", h.spec.Name, err)
	}
	within, cancel := context.WithTimeout(ctx, h.spec.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(within, h.request.method, h.request.template.text, bytes.NewReader(body))
	if err != nil {
		return nil, fault.New(fault.Config, "", "hook %s has no usable URL", h.spec.Name)
	}
	s := &sending{req: req, limit: maxHookAnswer + 1}
	for name, value := range h.request.headers {
		req.Header.Set(name, value)
		s.secret = append(s.secret, name)
	}
	sum := sha256.Sum256(append([]byte(h.spec.Name+"\n"), body...))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "agentkernel")
	req.Header.Set("AK-Turn-Id", a.Turn)
	req.Header.Set("Idempotency-Key", "ak_hook_"+hex.EncodeToString(sum[:16])) // the same question may come again
	got, err := h.client.send(s)
	if err != nil {
		kind, why := causeOf(err)
		if errors.Is(err, context.DeadlineExceeded) {
			kind = fault.TimeoutTotal // also in the middle of the answer
		}
		return nil, h.failed(kind, "gave no answer: "+h.scrubber.clean(why.Error()))
	}
	return h.read(got)
}

// read makes sense of an answer.
func (h *hook) read(a *answer) (*opinion, error) {
	o := &opinion{}
	switch {
	case a.status == http.StatusNoContent:
		return o, nil
	case a.status < 200 || a.status > 299:
		// The body is not in the error: it may hold what customers wrote.
		return nil, h.failed(kindOf(a.status), fmt.Sprintf("answered with status %d", a.status))
	case len(a.body) > maxHookAnswer:
		return nil, h.failed(fault.TooLarge, fmt.Sprintf("answered with more than %d bytes", maxHookAnswer))
	case !strings.HasPrefix(strings.TrimSpace(a.body), "{"):
		return nil, h.senseless("it is no JSON object")
	}
	d := json.NewDecoder(strings.NewReader(a.body))
	d.DisallowUnknownFields() // a misspelt refusal must not let a turn pass
	if err := d.Decode(o); err != nil {
		return nil, h.senseless("it is not an object with reply, note or refuse, each a text")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, h.senseless("something follows the JSON object")
	}
	given := 0
	for _, field := range []*string{o.Reply, o.Note, o.Refuse} {
		if field != nil {
			given++
			*field = h.hush.stars(*field)
		}
	}
	if given > 1 {
		return nil, h.senseless("it has more than one of reply, note and refuse")
	}
	if o.Refuse != nil {
		return nil, fault.New(fault.Refused, "", "hook %s refused: %s", h.spec.Name, cut(h.scrubber.clean(cmp.Or(*o.Refuse, "it gave no reason"))))
	}
	return o, nil
}

func (h *hook) senseless(why string) error { return h.failed(fault.Malformed, "answered, but "+why) }

func (h *hook) failed(kind fault.Kind, what string) error {
	return fault.New(kind, "", "hook %s %s", h.spec.Name, what).
		WithTry("look at the service behind the hook; a turn does not go on without its answer")
}

// cut bounds a text for an error.
func cut(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) > maxShown {
		text = strings.ToValidUTF8(text[:maxShown], "") + "…"
	}
	return text
}
