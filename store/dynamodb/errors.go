package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// failure is what became of a request that did not succeed.
type failure struct {
	unsent   bool   // the service refused it, or never had it: nothing was written by it
	again    bool   // the same request may succeed in a moment
	code     string // the service's, if it gave one
	conflict bool   // its condition did not hold
	was      item   // what stood there instead, if the service said so
	kind     fault.Kind
	msg, try string
	err      error // a cause that is safe to show, may be nil
}

func (f *failure) Error() string { return f.msg }
func (f *failure) Unwrap() error { return f.err }

// refused is a failure of which nothing was sent.
func refused(kind fault.Kind, err error) *failure {
	f := &failure{unsent: true, kind: kind, err: err}
	if err != nil {
		f.msg = err.Error()
	}
	return f
}

// neverSent says of err that it comes from before the write that matters.
func neverSent(err error) error {
	var f *failure
	if errors.As(err, &f) {
		c := *f
		c.unsent, c.conflict = true, false
		return &c
	}
	return &failure{unsent: true, kind: fault.KindOf(err), msg: err.Error(), try: fault.Try(err), err: err}
}

// refusals are the service's codes that say that nothing was done, and what they mean.
var refusals = map[string]struct {
	kind fault.Kind
	wait bool
	try  string
}{
	"ProvisionedThroughputExceededException":   {fault.Throttled, true, "raise the table's capacity, or use on-demand billing"},
	"ThrottlingException":                      {fault.Throttled, true, "look at the table's limits and at hot partitions"},
	"RequestLimitExceeded":                     {fault.Throttled, true, "ask AWS for a higher limit of the account"},
	"ReplicatedWriteConflictException":         {fault.Unavailable, true, ""},
	"LimitExceededException":                   {fault.Unavailable, true, ""},
	"ResourceInUseException":                   {fault.Unavailable, true, ""},
	"ResourceNotFoundException":                {fault.Config, false, "run: ak store init"},
	"ItemCollectionSizeLimitExceededException": {fault.Config, false, "remove the table's local indexes"},
	"ValidationException":                      {fault.Internal, false, "check the table with: ak doctor"},
	"SerializationException":                   {fault.Internal, false, ""},
	"UnknownOperationException":                {fault.Unsupported, false, ""},
	"AccessDeniedException":                    {fault.Auth, false, "allow this role to read and write the table and its indexes"},
	"UnrecognizedClientException":              {fault.Auth, false, "check the access key"},
	"ExpiredTokenException":                    {fault.Auth, false, "renew the credentials"},
	"IncompleteSignatureException":             {fault.Auth, false, "check the access key"},
	"InvalidSignatureException":                {fault.Auth, false, "check the secret key and this machine's clock"},
	"MissingAuthenticationTokenException":      {fault.Auth, false, "check the credentials"},
	"MissingAuthenticationToken":               {fault.Auth, false, "check the credentials"},
	"InvalidClientTokenId":                     {fault.Auth, false, "check the access key"},
	"OptInRequired":                            {fault.Auth, false, "enable the region for the account"},
}

// judge says what an error of the SDK means. connected is whether a connection was had for the request: before that,
// nothing of it can have left.
func judge(err error, connected bool) *failure {
	var failed *types.ConditionalCheckFailedException
	if errors.As(err, &failed) {
		return &failure{unsent: true, conflict: true, was: failed.Item, kind: fault.Conflict, msg: "the condition does not hold"}
	}
	var creds noCredentials
	if errors.As(err, &creds) {
		return &failure{unsent: true, kind: fault.Auth, msg: "there are no AWS credentials: " + clean(creds.error), try: "give this process credentials or a role", err: ended(err)}
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		if r, ok := refusals[api.ErrorCode()]; ok {
			f := &failure{code: api.ErrorCode(), unsent: true, again: r.wait, kind: r.kind, msg: "DynamoDB refused: " + api.ErrorCode(), try: r.try}
			if r.kind != fault.Auth { // such messages repeat parts of the request
				f.msg += ": " + short(api.ErrorMessage())
			}
			return f
		}
		return &failure{code: api.ErrorCode(), again: true, kind: fault.Unavailable, msg: "DynamoDB failed: " + short(api.ErrorCode()+": "+api.ErrorMessage())}
	}
	f := &failure{unsent: !connected, again: true, kind: fault.Unavailable, err: ended(err)}
	f.msg = "DynamoDB does not answer: " + clean(err)
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		f.msg = "DynamoDB did not answer in time"
	}
	return f
}

// ended is the part of err that says that a context ended.
func ended(err error) error {
	for _, e := range []error{context.Canceled, context.DeadlineExceeded, errClosed} {
		if errors.Is(err, e) {
			return e
		}
	}
	return nil
}

// clean is the text of an error without URLs, which may hold passwords.
func clean(err error) string {
	var dial *net.OpError
	if errors.As(err, &dial) {
		return short(dial.Error())
	}
	var u *url.Error
	if errors.As(err, &u) {
		return short(u.Err.Error())
	}
	return short(err.Error())
}

func short(s string) string {
	const most = 300
	if len(s) > most {
		s = s[:most] + " …"
	}
	return strings.ToValidUTF8(s, "?")
}

// asFailure is err as a failure, an empty one when there is none; one that was not judged yet is a bug's.
func asFailure(err error) *failure {
	var f *failure
	if err == nil {
		return &failure{}
	}
	if errors.As(err, &f) {
		return f
	}
	return &failure{kind: fault.KindOf(err), msg: err.Error(), try: fault.Try(err), err: err}
}

// writeErr is the error of a write whose last request failed with err.
func writeErr(op string, err error) error {
	if err == nil {
		return nil
	}
	f := asFailure(err)
	switch {
	case f.conflict:
		return conflict(op)
	case !f.unsent:
		return &fault.Error{Op: op, Kind: fault.OutcomeUnknown, Msg: f.msg, Try: f.try, Err: f.err}
	}
	cause := session.ErrNotSent
	if f.err != nil {
		cause = fmt.Errorf("%w: %w", cause, f.err)
	}
	return &fault.Error{Op: op, Kind: f.kind, Msg: f.msg, Try: f.try, Err: cause}
}

// readErr is the error of a read.
func readErr(ctx context.Context, op string, err error) error {
	if err == nil {
		return nil
	}
	f := asFailure(err)
	if cause := ctx.Err(); cause != nil && !errors.Is(f.err, cause) && f.kind != fault.Unreadable {
		return &fault.Error{Op: op, Kind: fault.KindOf(cause), Msg: f.msg, Err: cause}
	}
	return &fault.Error{Op: op, Kind: f.kind, Msg: f.msg, Try: f.try, Err: f.err}
}

func conflict(op string) error {
	return &fault.Error{Op: op, Kind: fault.Conflict, Err: session.ErrConflict}
}

func noValue(op string) error {
	return &fault.Error{Op: op, Kind: fault.NotFound, Err: session.ErrNoValue}
}

// corrupt is a failure that is the stored bytes'.
func corrupt(format string, args ...any) *failure {
	return &failure{unsent: true, kind: fault.Corrupt, msg: fmt.Sprintf(format, args...), try: "run: ak verify"}
}

// foreign is the failure of a session that another program keeps in this table.
func foreign(id string) *failure {
	return &failure{
		unsent: true, kind: fault.Unreadable,
		msg: fmt.Sprintf("session %s is in this table in a form that this program did not write, so it is left alone", id),
		try: "use another session id or another table; whoever wrote the items can read them",
	}
}
