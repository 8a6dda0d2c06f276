package session

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/agentkernel/agentkernel/fault"
)

// idBytes is how much of the hash makes an id: enough that nobody can make two records with one id.
const idBytes = 16

// Record is one entry of a journal as a store keeps it. Stores treat Data as opaque.
type Record struct {
	Life uint64 // the incarnation of the session id, 1 for the first
	Seq  uint64 // 1 for the first record of a life
	ID   string // hash of Data, hexadecimal
	Data []byte
}

// Batch is a record's content: who wrote it, when by its clock, and the events, which happened together or not at all.
type Batch struct {
	V      int     `json:"v"`
	Life   uint64  `json:"life"`
	Seq    uint64  `json:"seq"`
	Prev   string  `json:"prev,omitempty"` // id of the record before it in this life
	Nonce  string  `json:"nonce"`          // makes the id unique when everything else is equal
	Writer string  `json:"writer"`         // the replica
	Epoch  uint64  `json:"epoch,omitempty"`
	At     Millis  `json:"at"`
	Events []Event `json:"events"`
}

// NewRecord makes the record that follows position at, in the newest version that this release writes, and returns its
// content beside it, as every reader of the record will see it: JSON inside events is compacted and strings are made
// valid UTF-8 on the way.
func NewRecord(at Position, writer string, epoch uint64, now Millis, events []Event) (Record, Batch, error) {
	return NewRecordIn(Writes, at, writer, epoch, now, events)
}

// NewRecordIn is [NewRecord] in an older version, for as long as there are replicas that read no newer one. A version
// that this release does not write is an error.
func NewRecordIn(version int, at Position, writer string, epoch uint64, now Millis, events []Event) (Record, Batch, error) {
	const op = "session.NewRecord"
	if version < 1 || version > Writes {
		return Record{}, Batch{}, fault.New(fault.Internal, op, "version %d is asked for, this release writes up to %d", version, Writes)
	}
	b := Batch{V: version, Life: at.Life, Seq: at.Len + 1, Prev: at.LastID, Nonce: nonce(), Writer: writer, Epoch: epoch, At: now, Events: events}
	if at.Len == 0 {
		b.Life++
	}
	data, err := encode(b)
	if err != nil {
		return Record{}, Batch{}, fault.New(fault.Internal, op, "encode: %w", err)
	}
	read, err := decode(version, data)
	if err != nil {
		return Record{}, Batch{}, fault.New(fault.Internal, op, "read back: %w", err)
	}
	return Record{Life: b.Life, Seq: b.Seq, ID: hash(data), Data: data}, read, nil
}

// encode1 and decode1 are the first version: a batch as it stands.
func encode1(b Batch) ([]byte, error) { return json.Marshal(b) }

func decode1(data []byte) (b Batch, err error) {
	err = json.Unmarshal(data, &b)
	return b, err
}

func nonce() string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails, by its contract
	return hex.EncodeToString(b[:])
}

func hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:idBytes])
}

// Position is where the journal stands after r.
func (r Record) Position() Position { return Position{Life: r.Life, Len: r.Seq, LastID: r.ID} }

// precedes reports whether a record of that life may stand behind p: the same life goes on, or a new one begins.
func (p Position) precedes(life uint64) bool {
	if p.Len == 0 {
		return life > p.Life
	}
	return life == p.Life
}

// Decode reads and checks the content: Corrupt when the bytes are not what was written under this id, Unreadable when a
// newer release wrote them.
func (r Record) Decode() (Batch, error) {
	const op = "session.Decode"
	if hash(r.Data) != r.ID {
		return Batch{}, fault.New(fault.Corrupt, op, "record %d.%d does not match its id", r.Life, r.Seq)
	}
	b, err := decode1(r.Data)
	if version := b.V; err != nil || version > 1 {
		if err != nil {
			version, _ = versionOf(r.Data)
		}
		if version > Reads {
			return Batch{}, fault.New(fault.Unreadable, op, "record %d.%d has version %d, this release reads up to %d", r.Life, r.Seq, version, Reads).
				WithTry("serve this session with the newer release")
		}
		if version > 1 {
			b, err = decode(version, r.Data)
		}
	}
	if err != nil {
		return Batch{}, fault.New(fault.Corrupt, op, "record %d.%d is not a record: %w", r.Life, r.Seq, err)
	}
	if b.V < 1 || b.Seq != r.Seq || b.Life != r.Life {
		return Batch{}, fault.New(fault.Corrupt, op, "record %d.%d says that it is %d.%d, version %d", r.Life, r.Seq, b.Life, b.Seq, b.V)
	}
	return b, nil
}

// versionOf reads a record's version, whatever else is in it: a newer release may have changed the shape of every other
// field.
func versionOf(data []byte) (int, error) {
	var v struct {
		V int `json:"v"`
	}
	err := json.Unmarshal(data, &v)
	return v.V, err
}

// Verify checks that records are whole and follow each other from position at, and returns where they end.
func Verify(at Position, records []Record) (Position, error) {
	for _, r := range records {
		b, err := r.Decode()
		if err != nil {
			return at, err
		}
		if r.Seq != at.Len+1 || b.Prev != at.LastID || !at.precedes(r.Life) {
			return at, fault.New(fault.Corrupt, "session.Verify", "record %d.%d does not follow record %d: the chain is broken", r.Life, r.Seq, at.Len)
		}
		at = r.Position()
	}
	return at, nil
}
