package session

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/agentkernel/agentkernel/fault"
)

// Format is the newest record version that this release reads, and the one it writes.
const Format = 1

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

// NewRecord makes the record that follows position at, and returns its content beside it, as every reader of the record
// will see it: JSON inside events is compacted and strings are made valid UTF-8 on the way.
func NewRecord(at Position, writer string, epoch uint64, now Millis, events []Event) (Record, Batch, error) {
	b := Batch{V: Format, Life: at.Life, Seq: at.Len + 1, Prev: at.LastID, Nonce: nonce(), Writer: writer, Epoch: epoch, At: now, Events: events}
	if at.Len == 0 {
		b.Life++
	}
	data, err := json.Marshal(b)
	if err != nil {
		return Record{}, Batch{}, fault.New(fault.Internal, "session.NewRecord", "encode: %w", err)
	}
	var read Batch
	if err := json.Unmarshal(data, &read); err != nil {
		return Record{}, Batch{}, fault.New(fault.Internal, "session.NewRecord", "read back: %w", err)
	}
	return Record{Life: b.Life, Seq: b.Seq, ID: hash(data), Data: data}, read, nil
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
	var v struct {
		V int `json:"v"`
	}
	var b Batch
	if err := json.Unmarshal(r.Data, &b); err != nil {
		// A newer release may have changed the shape of a field; its version then says so.
		if json.Unmarshal(r.Data, &v) == nil && v.V > Format {
			b.V = v.V
		} else {
			return Batch{}, fault.New(fault.Corrupt, op, "record %d.%d is not a record: %w", r.Life, r.Seq, err)
		}
	}
	if b.V > Format {
		return Batch{}, fault.New(fault.Unreadable, op, "record %d.%d has version %d, this release reads up to %d", r.Life, r.Seq, b.V, Format).
			WithTry("serve this session with the newer release")
	}
	if b.V < 1 || b.Seq != r.Seq || b.Life != r.Life {
		return Batch{}, fault.New(fault.Corrupt, op, "record %d.%d says that it is %d.%d, version %d", r.Life, r.Seq, b.Life, b.Seq, b.V)
	}
	return b, nil
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
