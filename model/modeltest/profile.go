package modeltest

import (
	"net/http"
	"time"

	"github.com/agentkernel/agentkernel/fault"
)

// profile is what a provider has to make of a format, where that is not the same for all of them.
type profile struct {
	refusals  []refusalRow          // beside plainRefusals
	hints     []hintRow             // when to come back
	errors    []errorRow            // errors inside a stream
	finishes  map[string]fault.Kind // finish reasons of answers that are failures
	malformed fault.Kind            // of a chunk that cannot be read in a stream that goes on; empty: it is passed over

	cannotSchema  bool // there is no field for a schema
	cannotNoCalls bool // there is no way to forbid calls while tools are listed
}

// refusalRow is a response with an error status and the kind that it has to become.
type refusalRow struct {
	status int
	err    WireError
	want   fault.Kind
}

// errorRow is an error in a stream and the kind that it has to become.
type errorRow struct {
	err  WireError
	want fault.Kind
}

// hintRow is a refusal and the hint in it.
type hintRow struct {
	name string
	step Step
	kind fault.Kind
	want [2]time.Duration // the earliest and the latest
}

// plainRefusals are what any gateway may say, with no code to go by.
var plainRefusals = []refusalRow{
	{429, WireError{Message: "Too many requests"}, fault.Throttled},
	{402, WireError{Message: "Payment required"}, fault.Quota},
	{500, WireError{Message: "It says rate limit, and means nothing by it"}, fault.Transient},
	{502, WireError{Message: "Bad gateway"}, fault.Transient},
	{504, WireError{Message: "Gateway timeout"}, fault.Transient},
	{408, WireError{Message: "Request timeout"}, fault.Transient},
	{503, WireError{Message: "The engine is busy"}, fault.Overloaded},
	{401, WireError{Message: "Unauthorized"}, fault.Auth},
	{403, WireError{Message: "Forbidden"}, fault.Auth},
	{422, WireError{Message: "Unprocessable"}, fault.Invalid},
}

func exactly(d time.Duration) [2]time.Duration { return [2]time.Duration{d, d} }

// retryAfterHints are refusals with the header that most servers send. The last argument adds rows of a format's own
// headers to them.
func retryAfterHints(status int, err *WireError, more ...headerRow) []hintRow {
	rows := append([]headerRow{
		{"none", nil, exactly(0)},
		{"seconds", map[string]string{"Retry-After": "7"}, exactly(7 * time.Second)},
		{"fraction of a second", map[string]string{"Retry-After": "0.25"}, exactly(250 * time.Millisecond)},
		{"nonsense", map[string]string{"Retry-After": "soon"}, exactly(0)},
		{"negative", map[string]string{"Retry-After": "-4"}, exactly(0)},
		{"date", map[string]string{
			"Retry-After": time.Now().Add(time.Hour).UTC().Format(http.TimeFormat),
		}, [2]time.Duration{58 * time.Minute, time.Hour + time.Second}},
		{"date in the past", map[string]string{"Retry-After": "Mon, 02 Jan 2006 15:04:05 GMT"}, exactly(0)},
	}, more...)
	var hints []hintRow
	for _, r := range rows {
		hints = append(hints, hintRow{r.name, Step{Status: status, Headers: r.headers, Error: err}, fault.Throttled, r.want})
	}
	return append(hints, hintRow{
		"of an overloaded server",
		Step{Status: 503, Headers: map[string]string{"Retry-After": "9"}},
		fault.Overloaded, exactly(9 * time.Second),
	})
}

type headerRow struct {
	name    string
	headers map[string]string
	want    [2]time.Duration
}
