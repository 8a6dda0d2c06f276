package fault

// Kind names a sort of failure. The strings are public: they are the API's "code", a metric label and a word in the
// journal, so they never change their meaning.
type Kind string

// Kinds of failed model and tool calls. They end a turn as failed, or cost an attempt.
const (
	Throttled         Kind = "throttled"           // the provider limits our rate and will serve again soon
	Quota             Kind = "quota"               // money or a daily allowance is used up; waiting seconds does not help
	Overloaded        Kind = "overloaded"          // the provider has no capacity for anyone
	Transient         Kind = "transient"           // a connection or server failure that a later try may not meet
	Truncated         Kind = "truncated"           // the answer ended without its terminal event, or is incomplete
	TimeoutFirstToken Kind = "timeout_first_token" // our clock: nothing came
	TimeoutIdle       Kind = "timeout_idle"        // our clock: something came, then nothing more
	TimeoutTotal      Kind = "timeout_total"       // our clock: it took too long in all
	Auth              Kind = "auth"                // the provider refuses our credential
	ModelGone         Kind = "model_gone"          // the provider does not have this model
	ContextOverflow   Kind = "context_overflow"    // the prompt is longer than the model's window
	Refused           Kind = "refused"             // the model or a filter declined to answer
	Malformed         Kind = "malformed"           // the answer came whole but makes no sense
	Invalid           Kind = "invalid"             // the provider says that our request is wrong
	Cancelled         Kind = "cancelled"           // we stopped it
	Internal          Kind = "internal"            // a bug or a panic here
	Unknown           Kind = "unknown"             // none of the others could be told
)

// Kinds of a turn's own end.
const (
	Budget      Kind = "budget"      // a declared limit of the turn was reached
	InDoubt     Kind = "in_doubt"    // a side effect's outcome is not known and the tool's policy is to fail
	Diverged    Kind = "diverged"    // a re-run asked for a side effect with other arguments than the journal holds
	Quarantined Kind = "quarantined" // recovery made no progress and the turn was discarded
)

// Kinds of refused requests and of trouble with the store.
const (
	BadRequest      Kind = "bad_request"     // the caller's input is wrong
	NotFound        Kind = "not_found"       // there is no such thing
	Conflict        Kind = "conflict"        // the thing is not in a state that allows it
	KeyMismatch     Kind = "key_mismatch"    // this idempotency key was used with another body
	Gone            Kind = "gone"            // it existed and was erased
	LostByStore     Kind = "lost_by_store"   // it was acknowledged, and the store no longer has it
	TooLarge        Kind = "too_large"       // a body, header or field is over its limit
	Unsupported     Kind = "unsupported"     // a media type or method that is not served
	Limited         Kind = "limited"         // one of our own limits; try again later
	Unavailable     Kind = "unavailable"     // refused before anything was written: store down, draining
	OutcomeUnknown  Kind = "outcome_unknown" // a write was sent and its answer did not come
	Corrupt         Kind = "corrupt"         // stored bytes do not say what was written
	Unreadable      Kind = "unreadable"      // written by a newer release; another replica can read it
	Config          Kind = "config"          // the configuration is wrong
	Unauthenticated Kind = "unauthenticated" // the caller did not prove who it is
	Forbidden       Kind = "forbidden"       // the caller is known and may not do this
	Waiting         Kind = "waiting"         // the turn waits for someone; not a failure of anything
)

// Trait says what follows from a kind.
type Trait struct {
	Status    int  // the HTTP status a caller sees when it ends the request
	Exit      int  // the exit code of a command that ends with it
	Retryable bool // the same request may succeed later without being changed
}

// Exit codes of ak. 0 is success; a shell sees 130 after an interrupt.
const (
	ExitFailed      = 1
	ExitUsage       = 2
	ExitConfig      = 3
	ExitNotFound    = 4
	ExitUnavailable = 5
	ExitTimeout     = 6
	ExitWaiting     = 7
	ExitDenied      = 8
	ExitCancelled   = 130
)

// StatusCancelled is the status of a request whose turn was cancelled; there is no registered code for it.
const StatusCancelled = 499

var traits = map[Kind]Trait{
	Throttled:         {503, ExitUnavailable, true},
	Quota:             {503, ExitUnavailable, false},
	Overloaded:        {503, ExitUnavailable, true},
	Transient:         {503, ExitUnavailable, true},
	Truncated:         {502, ExitUnavailable, true},
	TimeoutFirstToken: {504, ExitTimeout, true},
	TimeoutIdle:       {504, ExitTimeout, true},
	TimeoutTotal:      {504, ExitTimeout, true},
	Auth:              {502, ExitUnavailable, false},
	ModelGone:         {502, ExitUnavailable, false},
	ContextOverflow:   {422, ExitFailed, false},
	Refused:           {422, ExitFailed, false},
	Malformed:         {502, ExitFailed, true},
	Invalid:           {502, ExitFailed, false},
	Cancelled:         {StatusCancelled, ExitCancelled, false},
	Internal:          {500, ExitFailed, false},
	Unknown:           {502, ExitFailed, false},

	Budget:      {422, ExitFailed, false},
	InDoubt:     {502, ExitFailed, false},
	Diverged:    {500, ExitFailed, false},
	Quarantined: {500, ExitFailed, false},

	BadRequest:      {400, ExitUsage, false},
	NotFound:        {404, ExitNotFound, false},
	Conflict:        {409, ExitFailed, false},
	KeyMismatch:     {422, ExitUsage, false},
	Gone:            {410, ExitNotFound, false},
	LostByStore:     {410, ExitNotFound, false},
	TooLarge:        {413, ExitUsage, false},
	Unsupported:     {415, ExitUsage, false},
	Limited:         {429, ExitUnavailable, true},
	Unavailable:     {503, ExitUnavailable, true},
	OutcomeUnknown:  {504, ExitTimeout, true},
	Corrupt:         {500, ExitFailed, false},
	Unreadable:      {503, ExitUnavailable, true},
	Config:          {500, ExitConfig, false},
	Unauthenticated: {401, ExitDenied, false},
	Forbidden:       {403, ExitDenied, false},
	Waiting:         {202, ExitWaiting, false},
}

// Trait is what follows from k; a kind this release does not know is treated as Unknown.
func (k Kind) Trait() Trait {
	if t, ok := traits[k]; ok {
		return t
	}
	return traits[Unknown]
}

// Kinds lists every kind, in no order.
func Kinds() []Kind {
	all := make([]Kind, 0, len(traits))
	for k := range traits {
		all = append(all, k)
	}
	return all
}
