package session

import (
	"context"
	"encoding/json"
	"errors"
)

// Position is a place between records: after the record with id LastID, which is number Len of incarnation Life. The
// zero Position is that of an id that was never used.
type Position struct {
	Life   uint64 `json:"life"`
	Len    uint64 `json:"len"`
	LastID string `json:"last_id,omitempty"`
}

// Attention says who looks after a session and when it next needs it. It is derived from the fold; see
// [Session.Attention].
type Attention struct {
	Owner  string `json:"owner,omitempty"`  // the replica that runs its turns
	Epoch  uint64 `json:"epoch,omitempty"`  // of the newest claim
	Due    Millis `json:"due,omitempty"`    // when someone must look, 0 never; for an owned session since when it is owned
	Expiry Millis `json:"expiry,omitempty"` // when it may be erased, 0 not while work is unfinished
}

// Head is the small mutable part of a session.
type Head struct {
	Key Key `json:"key"`
	Position
	Attention
	Updated Millis     `json:"updated,omitempty"`
	Tomb    *Tombstone `json:"tomb,omitempty"` // set when the session was erased and its id not used again
}

// Idle reports that the session has no unfinished turn.
func (h Head) Idle() bool { return h.Owner == "" && h.Due == h.Expiry }

// Tombstone is what is left of an erased session: nothing of its content. It is kept until Until, so that a request
// with an idempotency key that was used before the erase is refused instead of run again.
type Tombstone struct {
	Until Millis   `json:"until"`
	Keys  []string `json:"keys,omitempty"` // hashes of the idempotency keys
}

// Conditions of a store that callers decide on. Any other error of Append leaves its outcome unknown: the record may or
// may not be in the journal, now or later.
var (
	// ErrConflict: the head is not where the writer thought. Nothing was written.
	ErrConflict = errors.New("the journal has moved on")
	// ErrNotSent: nothing was written and nothing will be: the store refused, or was never reached.
	ErrNotSent = errors.New("the store did not take the write")
	// ErrTrimmed: the records asked for are older than the oldest kept. Start from the newest snapshot.
	ErrTrimmed = errors.New("these records were trimmed")
	// ErrNoValue: there is no such snapshot or blob.
	ErrNoValue = errors.New("not stored")
)

// Store keeps sessions. This file is its whole contract; package sessiontest checks it. Every method is safe for
// concurrent use, honours its context, and after a nil error has done what it says at the store's declared durability.
// Strings and bytes handed in are not kept or changed; what is returned belongs to the caller.
type Store interface {
	Journal
	Agenda
	Liveness
	Snapshots
	Blobs
	Hints
	Directory

	// Durability declares what this store, as configured, can lose, and how.
	Durability() Durability
	// Close releases everything. Calls after it, and calls it overtakes, fail.
	Close() error
}

// Journal is the log of every session.
type Journal interface {
	// Append adds rec as the record after position at and sets the head's attention and update time (rec's own time
	// is opaque to a store, so the store uses its clock), in one atomic operation, iff the stored head is exactly
	// at: life, length and last id. Else ErrConflict. An erased session's head is {Life: its last life}, and its
	// tombstone goes away with the append that uses the id again.
	Append(ctx context.Context, key Key, at Position, rec Record, next Attention) error

	// Read returns the head and up to limit (0: all) records with a sequence number above after, in order, both as of
	// one moment. A session that was never used has a zero head apart from its key, and no records. ErrTrimmed when
	// record after+1 was trimmed.
	Read(ctx context.Context, key Key, after uint64, limit int) (Head, []Record, error)

	// Heads returns the head of each key, in order. It is never stale: what was appended before the call is seen. When a
	// part of the store does not answer, it returns what the others said together with an error; the heads it could not
	// get are zero, their key too.
	Heads(ctx context.Context, keys []Key) ([]Head, error)

	// Erase deletes records, snapshots and blobs of the session, iff the stored head is exactly at, and leaves tomb
	// under a hash of the key. Else ErrConflict. No form of the session's id is left in the store.
	Erase(ctx context.Context, key Key, at Position, tomb Tombstone) error
}

// Agenda is the index over heads by who must look after them. It may lag, which only delays.
type Agenda interface {
	// Due returns heads whose owner is owner (empty: that have none) and whose Due is set and at or before before,
	// oldest first, at most limit. When a part of the store does not answer, it returns what the others said together
	// with an error.
	Due(ctx context.Context, owner string, before Millis, limit int) ([]Head, error)
}

// Replica is a running kernel as its peers see it.
type Replica struct {
	ID      string          `json:"id"`
	Counter uint64          `json:"counter"` // goes up with each beat; observers judge its standing still by their own clock
	Info    json.RawMessage `json:"info,omitempty"`
}

// Liveness is one counter per replica, and what a replica says about itself.
type Liveness interface {
	// Beat writes a replica's counter and info. It creates the entry when there is none.
	Beat(ctx context.Context, r Replica) error
	// Replicas lists all entries.
	Replicas(ctx context.Context) ([]Replica, error)
	// Leave removes an entry. Removing one that is not there is not an error.
	Leave(ctx context.Context, id string) error
}

// Snapshot is a folded state: everything up to record Seq.
type Snapshot struct {
	Life uint64
	Seq  uint64
	Data []byte
}

// Snapshots bound replay.
type Snapshots interface {
	// PutSnapshot keeps snap as the newest of its session, unless a newer one is kept already. It is refused with
	// ErrConflict when the session is not in that life any more.
	PutSnapshot(ctx context.Context, key Key, snap Snapshot) error
	// Snapshot returns the newest one of the present life, or ErrNoValue.
	Snapshot(ctx context.Context, key Key) (Snapshot, error)
	// Trim deletes records of that life up to and including sequence number upTo. Only records that the newest snapshot covers
	// are deleted; the last record always stays.
	Trim(ctx context.Context, key Key, life, upTo uint64) error
}

// Blobs hold what is too large for a record: immutable, named by digest within one session and life.
type Blobs interface {
	// PutBlob keeps data. When that digest is kept already only its Written moves, so that a blob which is about to be
	// named by a record is not taken for one that nobody wants. ErrConflict when the session is not in that life.
	PutBlob(ctx context.Context, key Key, life uint64, digest string, data []byte) error
	// Blob returns ErrNoValue when it is not there.
	Blob(ctx context.Context, key Key, life uint64, digest string) ([]byte, error)
	// BlobList lists the blobs of that life in the order of their digests.
	BlobList(ctx context.Context, key Key, life uint64) ([]BlobInfo, error)
	// DropBlob deletes a blob as BlobList showed it: one that was put again since, as its Written tells, stays. It is no
	// error when there is nothing to delete.
	DropBlob(ctx context.Context, key Key, life uint64, b BlobInfo) error
}

// BlobInfo is a blob without its content.
type BlobInfo struct {
	Digest  string `json:"digest"`
	Size    int64  `json:"size"`    // bytes
	Written Millis `json:"written"` // when it was last put, by the store's clock
}

// Hint is a piece of advice that replicas share. Nothing that must be right depends on one.
type Hint struct {
	Name  string
	Value []byte
	Until Millis // by the store's clock
}

// Hints are advice with an end.
type Hints interface {
	// PutHint replaces the hint of that name.
	PutHint(ctx context.Context, h Hint) error
	// Hints lists those whose name has the prefix and whose time has not passed.
	Hints(ctx context.Context, prefix string) ([]Hint, error)
}

// Query selects sessions of one tenant, in the order of their ids.
type Query struct {
	Tenant     string
	Search     string // only ids that contain it
	After      string // only ids behind this one
	Limit      int    // at most so many, 0 means 100
	Unfinished bool   // only sessions that are not idle
}

// Directory lists sessions. Erased ones are not in it.
type Directory interface {
	List(ctx context.Context, q Query) ([]Head, error)
	// Tenants lists, in order, the tenants that have sessions; the empty one is that of sessions without a tenant.
	Tenants(ctx context.Context) ([]string, error)
	// Meta returns what was fixed when the store was made.
	Meta(ctx context.Context) (Meta, error)
	// RaiseGeneration makes Meta's Generation higher than it was. Whoever put an older state in the store's place, as a
	// restore does, calls it before anything else uses the store.
	RaiseGeneration(ctx context.Context) error
}

// Watcher is a store that can tell when something may have changed, sooner than polling would. It is only a hint.
type Watcher interface {
	// Watch sends on the channel (which has room for one and is never closed) after changes by other processes, until ctx ends.
	Watch(ctx context.Context) (<-chan struct{}, error)
}

// Local is a store whose replicas all run on one machine, so that one can see whether another one's process is there.
type Local interface {
	// Local does nothing; having it is what counts.
	Local()
}
