package session

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/agentkernel/agentkernel/fault"
)

// MaxID is the longest session or tenant id, in bytes.
const MaxID = 128

// Key names a session: the tenant it belongs to, empty where there is only one, and the id that clients use.
type Key struct {
	Tenant string `json:"tenant,omitempty"`
	ID     string `json:"id"`
}

// String is the key's storage form, "tenant/id", or "id" without a tenant. No two keys of valid ids share one.
func (k Key) String() string {
	if k.Tenant == "" {
		return k.ID
	}
	return k.Tenant + "/" + k.ID
}

// ParseKey is the inverse of [Key.String].
func ParseKey(s string) Key {
	if tenant, id, ok := strings.Cut(s, "/"); ok {
		return Key{Tenant: tenant, ID: id}
	}
	return Key{ID: s}
}

// CheckID reports what is wrong with a session or tenant id. Ids have 1 to [MaxID] characters out of letters, digits and
// "-._:@+="; they appear in URLs, file names and store keys, so "." and ".." are none.
func CheckID(what, id string) error {
	if id == "" || len(id) > MaxID {
		return fault.New(fault.BadRequest, "", "%s must have 1 to %d characters, not %d", what, MaxID, len(id))
	}
	if id == "." || id == ".." {
		return fault.New(fault.BadRequest, "", "%s must not be %q", what, id)
	}
	for _, c := range id {
		if !idChar(c) {
			return fault.New(fault.BadRequest, "", "%s must not contain %q", what, c).
				WithTry("use letters, digits and -._:@+= only")
		}
	}
	return nil
}

func idChar(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-._:@+=", c)
}

// Ref names a turn inside its session and life: the record that accepted it and the event's index in that record.
type Ref struct {
	Seq   uint64
	Index int
}

// IsZero reports whether r names no turn.
func (r Ref) IsZero() bool { return r.Seq == 0 }

// Less reports whether r was accepted before o.
func (r Ref) Less(o Ref) bool { return r.Seq < o.Seq || r.Seq == o.Seq && r.Index < o.Index }

func (r Ref) String() string { return strconv.FormatUint(r.Seq, 10) + "." + strconv.Itoa(r.Index) }

// MarshalText writes r as "seq.index".
func (r Ref) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads the form that MarshalText writes.
func (r *Ref) UnmarshalText(b []byte) error {
	seq, index, ok := strings.Cut(string(b), ".")
	n, err := strconv.ParseUint(seq, 10, 64)
	i, err2 := strconv.ParseUint(index, 10, 31)
	if !ok || err != nil || err2 != nil || n == 0 {
		return fmt.Errorf("%q is not a turn reference", b)
	}
	*r = Ref{Seq: n, Index: int(i)}
	return nil
}

// TurnID names a turn to the outside. It carries the session, the life and the turn's place in the journal, so that no
// index is needed to find it, and the beginning of the accepting record's id, so that a turn which the store forgot is
// told apart from another one that later took its place.
type TurnID struct {
	Session string
	Life    uint64
	Ref     Ref
	Tag     string // the first tagLen characters of the accepting record's id
}

const tagLen = 8

// MakeTurnID names the turn that the event at index of record rec accepted.
func MakeTurnID(session string, rec Record, index int) TurnID {
	return TurnID{Session: session, Life: rec.Life, Ref: Ref{Seq: rec.Seq, Index: index}, Tag: rec.ID[:tagLen]}
}

// IsZero reports whether t names no turn.
func (t TurnID) IsZero() bool { return t.Session == "" }

// String is the public form, "session~life.seq.index.tag".
func (t TurnID) String() string {
	if t.IsZero() {
		return ""
	}
	return fmt.Sprintf("%s~%d.%s.%s", t.Session, t.Life, t.Ref, t.Tag)
}

// MarshalText writes the public form.
func (t TurnID) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads the public form.
func (t *TurnID) UnmarshalText(b []byte) (err error) {
	*t, err = ParseTurnID(string(b))
	return err
}

// ParseTurnID reads the public form; anything else is a BadRequest.
func ParseTurnID(s string) (TurnID, error) {
	bad := fault.New(fault.BadRequest, "", "%.200q is not a turn id", s).
		WithTry("use the turn_id that an answer gave you")
	id, rest, ok := strings.Cut(s, "~")
	if !ok || CheckID("session id", id) != nil {
		return TurnID{}, bad
	}
	f := strings.Split(rest, ".")
	if len(f) != 4 || len(f[3]) != tagLen || strings.Trim(f[3], "0123456789abcdef") != "" {
		return TurnID{}, bad
	}
	life, err := strconv.ParseUint(f[0], 10, 64)
	t := TurnID{Session: id, Life: life, Tag: f[3]}
	if err != nil || life == 0 || t.Ref.UnmarshalText([]byte(f[1]+"."+f[2])) != nil || t.String() != s {
		return TurnID{}, bad
	}
	return t, nil
}
