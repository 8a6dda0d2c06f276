package session

import "slices"

// The trail is what a fold remembers of where its journal has been, in bounded room: the ids of the newest records, and
// the times of older places. A snapshot carries it, so that it says the same whether records were read or not.

const (
	keepIDs    = 512 // of the newest records, at least
	checkEvery = 64  // records between two checkpoints
	maxChecks  = 256 // checkpoints; then every second one of the older half goes
)

type trail struct {
	IDs    []string     `json:"ids"` // of the newest records, in order; the last one is that of the fold's position
	Checks []checkpoint `json:"checks"`
}

// checkpoint says that record Seq was written at At, and those before it no later.
type checkpoint struct {
	Seq uint64 `json:"seq"`
	At  Millis `json:"at"`
}

func (t *trail) add(rec Record, at Millis) {
	if len(t.IDs) >= 2*keepIDs {
		t.IDs = slices.Clone(t.IDs[len(t.IDs)-keepIDs:])
	}
	t.IDs = append(t.IDs, rec.ID)
	if rec.Seq%checkEvery != 0 {
		return
	}
	if len(t.Checks) >= maxChecks {
		kept := make([]checkpoint, 0, maxChecks)
		for i, c := range t.Checks {
			if i >= maxChecks/2 || i%2 == 1 {
				kept = append(kept, c)
			}
		}
		t.Checks = kept
	}
	t.Checks = append(t.Checks, checkpoint{Seq: rec.Seq, At: at})
}

func (t *trail) clone() trail {
	return trail{IDs: slices.Clone(t.IDs), Checks: slices.Clone(t.Checks)}
}

// Wrote tells whether the record with that number and id is in the journal that s was folded from. known is false when
// that is so long ago that s does not remember which record stands there.
func (s *Session) Wrote(seq uint64, id string) (wrote, known bool) {
	first := s.At.Len - uint64(len(s.trail.IDs)) + 1
	switch {
	case seq > s.At.Len:
		return false, true
	case seq < first:
		return false, false
	}
	return s.trail.IDs[seq-first] == id, true
}

// TrimTo is the number of the newest record that may be trimmed once a snapshot covers it: it was written before that
// time, and no unfinished turn needs it. 0 means none. It may be up to 64 records less than it could be, and more in
// journals of more than 16,384 records.
func (s *Session) TrimTo(before Millis) uint64 {
	var to uint64
	for _, c := range s.trail.Checks {
		if c.At >= before {
			break
		}
		to = c.Seq
	}
	if t := s.Current(); t != nil {
		to = min(to, t.Ref.Seq-1)
	}
	return to
}
