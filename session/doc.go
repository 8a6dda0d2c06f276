// Package session is the domain: sessions, turns, steps, the events that are journaled about them, the fold that makes
// state of events, and the contract that a store must keep. It does no input or output and reads no clock.
//
// # The journal
//
// A session is an append-only log of records. A record is one atomic batch of events; it has a sequence number (1, 2,
// 3, …), and an id that is a hash over its bytes. The bytes hold the id of the record before it, so the id of the last
// record names the whole history: whoever appends "after record x" says everything about what it had seen.
//
// Beside its records a session has one small mutable thing, the head: where the journal ends (life, length, id of the
// last record), who owns it and since which epoch, when it next needs attention and when it expires. The one write
// primitive compares and moves the head and adds the record, atomically:
//
//	Append(key, at, record, next) succeeds iff the stored head is still at `at`
//
// Everything else follows from it.
//
//   - Ownership is an event. A replica that appends session.claimed with a higher epoch is the owner. A former owner
//     cannot append without reading that event first, so it cannot extend the history; it stops.
//   - A conflict is not an error. The writer reads the records it had not seen, folds them, and computes its record
//     again. It may find that there is nothing left to write.
//   - An append whose answer was lost is decided by reading: if the record with that id is in the journal it was
//     written; if another record stands in its place it never will be; if the head has not moved, the same record may
//     be sent again. There is no fourth case, because ids are unique and the head is compared as a whole.
//   - The first decisive event wins. A turn has at most one terminal event, because the writer of the second one would
//     have had to read the first.
//
// # The fold
//
// [Session.Apply] folds one record into the state. It is the only code that changes a Session, it is used alike by the
// owner, by followers and by tools that inspect, and it depends on nothing but the records. Events that cannot follow
// from the state before (see the table in state.go) mean that the journal is corrupt: Apply says so, and that one
// session becomes a clear error.
//
// # Content
//
// What users, models and tools say is opaque JSON here. The kernel gives it meaning.
package session
