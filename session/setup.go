package session

import "context"

// What a store can do for operators beside its contract. Both interfaces are optional.

// Initializer is a store whose place can be made ready ahead of time, as `ak store init` does.
type Initializer interface {
	// Init makes what is missing (a table, a schema, an index), leaves alone what is there, and returns what it did, one
	// sentence each; none when there was nothing to do. It may be called again, and by several at once.
	Init(ctx context.Context) ([]string, error)
}

// Severity says how bad a finding is.
type Severity string

const (
	FindingOK   Severity = "ok"   // good to know
	FindingWarn Severity = "warn" // it works, but something can be lost, or will be slow
	FindingFail Severity = "fail" // sessions would be lost, or nothing works
)

// Finding is one thing about a store's set-up that an operator should know.
type Finding struct {
	Check    string   // what was looked at, in one or two words: "eviction", "persistence"
	Severity Severity //
	Text     string   // what is, without a full stop
	Try      string   // what to do about it, empty for ok
}

// Examiner is a store that can judge the set-up of its server, as `ak doctor` asks it to. What it is not allowed to see is a
// finding too. An error means that the server could not be asked at all.
type Examiner interface {
	Examine(ctx context.Context) ([]Finding, error)
}
