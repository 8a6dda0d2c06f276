package session

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"

	"github.com/agentkernel/agentkernel/fault"
)

// A snapshot is a folded state as JSON. Reading one and folding the records behind it gives the very state that folding
// all records gives, down to what no method shows, so it does not matter which of the two a replica did.
//
// It names the version of the fold that made it. A release with another fold would make another state of the same
// records, so it does not read the snapshot, and folds the records again if they are still there. A field that this
// release does not know makes a snapshot unreadable too: what it stands for would be lost.

// FoldVersion is the version of the fold. It goes up whenever the fold keeps something else than before, or makes
// something else of the same records.
const FoldVersion = 1

// frozen is a snapshot's outside. Sum is a hash over State, so that what is cut off or changed is noticed.
type frozen struct {
	Fold  int             `json:"fold"`
	Sum   string          `json:"sum"`
	State json.RawMessage `json:"state"`
}

// state is a session with what a JSON encoder would not see of it. Open holds the references of turns in Turns.
type state struct {
	Session
	Open  []Ref
	Keys  map[string]KeyUse
	Fifo  []string
	Trail trail
	Began bool // a turn was accepted since the beginning or the last clearing
}

// Freeze writes s down. It only reads s, and what it returns shares nothing with it.
func Freeze(s *Session) ([]byte, error) {
	const op = "session.Freeze"
	st := state{Session: *s, Keys: s.keys, Fifo: s.fifo, Trail: s.trail, Began: s.byRef != nil}
	if s.Open != nil {
		st.Open = make([]Ref, len(s.Open))
		for i, t := range s.Open {
			st.Open[i] = t.Ref
		}
	}
	data, err := json.Marshal(st)
	if err == nil {
		data, err = json.Marshal(frozen{Fold: FoldVersion, Sum: sumOf(data), State: data})
	}
	if err != nil {
		return nil, fault.New(fault.Internal, op, "session %s: %w", s.Key.ID, err)
	}
	return data, nil
}

func sumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Thaw is the state that a snapshot of session key holds. Unreadable: another release made it. Corrupt: it is damaged, or
// is not what the store says it is. Either way the session may still be folded from its records.
func Thaw(key Key, snap Snapshot) (*Session, error) {
	const op = "session.Thaw"
	var f frozen
	if err := json.Unmarshal(snap.Data, &f); err != nil {
		return nil, fault.New(fault.Corrupt, op, "the snapshot %d.%d of session %s is none: %w", snap.Life, snap.Seq, key.ID, err)
	}
	if f.Fold != FoldVersion {
		return nil, fault.New(fault.Unreadable, op, "the snapshot %d.%d of session %s is of fold version %d, this release reads %d", snap.Life, snap.Seq, key.ID, f.Fold, FoldVersion).
			WithTry("serve this session with the release that made it")
	}
	if sumOf(f.State) != f.Sum {
		return nil, fault.New(fault.Corrupt, op, "the snapshot %d.%d of session %s does not match its hash", snap.Life, snap.Seq, key.ID)
	}
	var st state
	d := json.NewDecoder(bytes.NewReader(f.State))
	d.DisallowUnknownFields()
	if err := d.Decode(&st); err != nil {
		return nil, fault.New(fault.Unreadable, op, "the snapshot %d.%d of session %s holds something else than this release keeps: %w", snap.Life, snap.Seq, key.ID, err).
			WithTry("serve this session with the release that made it")
	}
	s := &st.Session
	if s.Key != key || s.At.Life != snap.Life || s.At.Len != snap.Seq {
		return nil, fault.New(fault.Corrupt, op, "the snapshot %d.%d of session %s says that it is %d.%d of %s", snap.Life, snap.Seq, key.ID, s.At.Life, s.At.Len, s.Key.ID)
	}
	s.keys, s.fifo, s.trail = st.Keys, st.Fifo, st.Trail
	if st.Began {
		s.byRef = make(map[Ref]*Turn, len(s.Turns))
	}
	for _, t := range s.Turns {
		if s.byRef == nil {
			return nil, fault.New(fault.Corrupt, op, "the snapshot %d.%d of session %s has turns and says that none was accepted", snap.Life, snap.Seq, key.ID)
		}
		s.byRef[t.Ref] = t
	}
	if st.Open != nil {
		s.Open = make([]*Turn, len(st.Open))
	}
	for i, ref := range st.Open {
		if s.Open[i] = s.byRef[ref]; s.Open[i] == nil {
			return nil, fault.New(fault.Corrupt, op, "the snapshot %d.%d of session %s has no turn %s, which it calls unfinished", snap.Life, snap.Seq, key.ID, ref)
		}
	}
	return s, nil
}

// Copy is s as it stands, for reading: what Apply does to s later does not show in it. It costs as much as s has turns,
// not as much as they hold.
func (s *Session) Copy() *Session {
	c := *s
	c.Turns, c.Open = slices.Clone(s.Turns), slices.Clone(s.Open)
	c.State, c.keys = maps.Clone(s.State), maps.Clone(s.keys)
	c.fifo, c.trail = slices.Clone(s.fifo), s.trail.clone()
	if s.Turns != nil || s.byRef != nil {
		c.byRef = make(map[Ref]*Turn, len(s.Turns))
	}
	for i, t := range c.Turns {
		own := *t // a turn that has ended is only marked as retried, later
		if !t.State.Ended() {
			own = *t.clone()
			if t.Steps == nil {
				own.Steps = nil
			}
		}
		c.Turns[i], c.byRef[t.Ref] = &own, &own
	}
	for i, t := range c.Open {
		c.Open[i] = c.byRef[t.Ref]
	}
	return &c
}
