package agentkernel

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/agentkernel/agentkernel/internal/schema"
	"github.com/agentkernel/agentkernel/session"
)

// OnDoubt says what happens when nobody can tell whether an at-most-once call had its effect.
type OnDoubt string

const (
	Ask      OnDoubt = "ask"  // the turn waits for a person's answer; the default
	Tell     OnDoubt = "tell" // the model is told that the outcome is unknown
	FailTurn OnDoubt = "fail" // the turn fails with kind in_doubt
)

// Refuses says what a tool itself keeps from happening twice. It allows the kernel to dispatch a call in doubt again.
type Refuses string

const (
	RefusesNothing      Refuses = ""              // a second call acts a second time
	RefusesDuplicateKey Refuses = "duplicate_key" // a second call with one idempotency key has no effect
	RefusesStaleEpoch   Refuses = "stale_epoch"   // a call with a lower epoch than one seen has no effect
)

// Tool is something that a model may call. The zero Effect is at_most_once: a tool that says nothing about itself is
// treated as one that moves money.
type Tool struct {
	Name        string
	Description string
	Parameters  json.RawMessage // JSON Schema of the arguments, an object; empty means no arguments
	Effect      session.Effect
	Refuses     Refuses
	OnDoubt     OnDoubt
	Timeout     time.Duration // per call, 0 means 60s
	MaxResult   int           // bytes of a result that the model is shown, 0 means 256 KiB
	Approval    Approval      // whether a person must say yes first

	// Call does it. An error is shown to the model as the result, except that one marked with [Unclear] (and a
	// time-out) puts an at-most-once call in doubt.
	Call func(ctx context.Context, c ToolCall) (string, error)

	// Reconcile tells what became of a call whose outcome is unknown; nil means that nobody can tell.
	Reconcile func(ctx context.Context, c ToolCall) (Finding, error)

	err error // of NewTool, told by Open
}

// Approval says whether a call needs a person's yes before it is dispatched. The yes holds for one call with exactly the
// arguments that the person was shown.
type Approval struct {
	When    ApprovalWhen
	Expires time.Duration // unanswered for so long, the call is denied; 0 means 24h
	Roles   []string      // who may answer; empty is every approver
}

// ApprovalWhen says when a call needs approval.
type ApprovalWhen string

const (
	NeverApprove  ApprovalWhen = "never"  // the default
	AlwaysApprove ApprovalWhen = "always" // every call
)

// WithApproval makes every call wait for a person's yes, for at most expires (0 means 24h).
func WithApproval(expires time.Duration, roles ...string) ToolOption {
	return func(t *Tool) { t.Approval = Approval{When: AlwaysApprove, Expires: expires, Roles: roles} }
}

// ToolCall is one dispatch of a tool.
type ToolCall struct {
	Name    string
	Args    json.RawMessage
	Key     string // idempotency key: the same for every dispatch of this call, whoever makes it
	Epoch   uint64 // of the owner that dispatches; a later owner's is higher
	Session string
	Turn    string
}

// Finding is what a reconcile hook found out.
type Finding struct {
	Outcome session.Outcome // Happened, DidNotHappen or StaysUnknown
	Result  string          // the call's result, if it happened
	Fenced  bool            // the tool refuses this key from now on, so that DidNotHappen is final
}

// errUnclear marks an error after which nobody knows whether the call had its effect.
type errUnclear struct{ error }

func (e errUnclear) Unwrap() error { return e.error }

// Unclear marks err as one after which the call may have had its effect.
func Unclear(err error) error { return errUnclear{err} }

func isUnclear(err error) bool {
	var u errUnclear
	return errors.As(err, &u)
}

// ToolOption changes a tool that [NewTool] makes.
type ToolOption func(*Tool)

// AtMostOnce declares that the tool must never act twice. It is the default; saying so helps the reader.
func AtMostOnce() ToolOption { return func(t *Tool) { t.Effect = session.AtMostOnce } }

// Idempotent declares that calls with one key have one effect.
func Idempotent() ToolOption { return func(t *Tool) { t.Effect = session.Idempotent } }

// ReadOnly declares that the tool changes nothing.
func ReadOnly() ToolOption { return func(t *Tool) { t.Effect = session.ReadOnly } }

// WithTimeout bounds each call.
func WithTimeout(d time.Duration) ToolOption { return func(t *Tool) { t.Timeout = d } }

// WithOnDoubt sets the policy for calls whose outcome nobody can tell.
func WithOnDoubt(p OnDoubt) ToolOption { return func(t *Tool) { t.OnDoubt = p } }

// WithRefuses declares what the tool itself refuses.
func WithRefuses(r Refuses) ToolOption { return func(t *Tool) { t.Refuses = r } }

// WithReconcile sets the hook that tells what became of a call.
func WithReconcile(f func(ctx context.Context, c ToolCall) (Finding, error)) ToolOption {
	return func(t *Tool) { t.Reconcile = f }
}

type callKey struct{}

// CallFrom is the call that a typed tool is answering: its idempotency key and epoch.
func CallFrom(ctx context.Context) ToolCall {
	c, _ := ctx.Value(callKey{}).(ToolCall)
	return c
}

// NewTool makes a tool of a function. In is a struct whose fields, with their json and jsonschema tags, become the
// parameters; arguments with other fields are refused. A string result is shown to the model as it is, anything else as
// JSON.
func NewTool[In, Out any](name, description string, f func(ctx context.Context, in In) (Out, error), opts ...ToolOption) *Tool {
	t := &Tool{Name: name, Description: description}
	t.Parameters, t.err = schema.For[In]()
	t.Call = func(ctx context.Context, c ToolCall) (string, error) {
		var in In
		d := json.NewDecoder(bytes.NewReader(c.Args))
		d.DisallowUnknownFields()
		if err := d.Decode(&in); err != nil {
			return "", errors.New("the arguments do not fit the tool's parameters: " + err.Error())
		}
		out, err := f(context.WithValue(ctx, callKey{}, c), in)
		if err != nil {
			return "", err
		}
		if s, ok := any(out).(string); ok {
			return s, nil
		}
		b, err := json.Marshal(out)
		return string(b), err
	}
	for _, o := range opts {
		o(t)
	}
	return t
}

const (
	defaultToolTimeout = time.Minute
	defaultMaxResult   = 256 << 10
	defaultExpires     = 24 * time.Hour
)

func (t *Tool) check() (problems []string) {
	bad := func(what string) { problems = append(problems, "tool "+t.Name+": "+what) }
	if err := session.CheckID("a tool's name", t.Name); err != nil {
		bad(err.Error())
	}
	if t.err != nil {
		bad("its parameters cannot be described: " + t.err.Error())
	}
	if t.Call == nil {
		bad("it has no Call")
	}
	switch t.Effect {
	case "":
		t.Effect = session.AtMostOnce
	case session.ReadOnly, session.Idempotent, session.AtMostOnce:
	default:
		bad("effect is " + string(t.Effect) + ", not read_only, idempotent or at_most_once")
	}
	switch t.OnDoubt {
	case "":
		t.OnDoubt = Ask
	case Ask, Tell, FailTurn:
	default:
		bad("on_doubt is " + string(t.OnDoubt) + ", not ask, tell or fail")
	}
	switch t.Approval.When {
	case "":
		t.Approval.When = NeverApprove
	case NeverApprove, AlwaysApprove:
	default:
		bad("approval.when is " + string(t.Approval.When) + ", not never or always")
	}
	t.Approval.Expires = orDefault(t.Approval.Expires, defaultExpires)
	switch t.Refuses {
	case RefusesNothing, RefusesDuplicateKey, RefusesStaleEpoch:
	default:
		bad("refuses is " + string(t.Refuses) + ", not duplicate_key or stale_epoch")
	}
	if len(t.Parameters) == 0 {
		t.Parameters = json.RawMessage(`{"type":"object","properties":{}}`)
	}
	var object map[string]any
	if json.Unmarshal(t.Parameters, &object) != nil || object["type"] != "object" {
		bad("parameters are not a JSON Schema of type object")
	}
	t.Timeout = orDefault(t.Timeout, defaultToolTimeout)
	t.MaxResult = orDefault(t.MaxResult, defaultMaxResult)
	return problems
}
