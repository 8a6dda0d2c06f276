package session

import "github.com/agentkernel/agentkernel/fault"

// StoreFormat is the newest layout of stores that this release knows. A kernel does not serve a store of a newer one.
const StoreFormat = 1

// Meta is fixed when a store is made, but for the generation, which a restore raises: a replica that sees another
// generation than it started with must stop. Buckets and Prefix say where things are, so who opens a store with other
// ones would find nothing, and take every session for a new one.
type Meta struct {
	Format     int    `json:"format"`
	Generation uint64 `json:"generation"`
	Buckets    int    `json:"buckets"` // parts of the agenda, 1 where it is not divided
	Prefix     string `json:"prefix,omitempty"`
}

// Check compares what a store was made with to what it is opened with: stores call it before anything else. want.Format is
// what the release knows, and may be newer; the generation does not matter. Errors are of kind Config, Unreadable for a
// newer format, and Corrupt when the store does not say what it was made with.
func (m Meta) Check(want Meta) error {
	const op = "session.Meta"
	switch {
	case m.Format < 1 || m.Generation < 1 || m.Buckets < 1:
		return fault.New(fault.Corrupt, op, "the store does not say its format, generation and number of buckets (%d, %d, %d)", m.Format, m.Generation, m.Buckets)
	case m.Format > want.Format:
		return fault.New(fault.Unreadable, op, "the store has format %d, this release knows up to %d", m.Format, want.Format).
			WithTry("use the newer release that made it")
	case m.Buckets != want.Buckets:
		return fault.New(fault.Config, op, "the store was made with %d buckets and is opened with %d", m.Buckets, want.Buckets).
			WithTry("configure %d: the number cannot be changed later", m.Buckets)
	case m.Prefix != want.Prefix:
		return fault.New(fault.Config, op, "the store was made with the prefix %q and is opened with %q", m.Prefix, want.Prefix).
			WithTry("configure the prefix %q, or point to another store", m.Prefix)
	}
	return nil
}
