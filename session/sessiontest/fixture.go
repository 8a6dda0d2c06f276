package sessiontest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"reflect"
	"strings"

	"github.com/agentkernel/agentkernel/session"
)

// big is a number that a store which keeps numbers as floating point cannot tell from its neighbour.
const big = 1<<53 + 1

// later is an end that no run of the suite lives to see.
const farFuture = session.Millis(1) << 42

func id(s string) session.Key { return session.Key{ID: s} }

// record makes the record that follows at. Its bytes and id depend on what.
func record(at session.Position, what string) session.Record {
	life := at.Life
	if at.Len == 0 {
		life++
	}
	data := fmt.Appendf(nil, `{"life":%d,"seq":%d,"prev":%q,"what":%q}`, life, at.Len+1, at.LastID, what)
	sum := sha256.Sum256(data)
	return session.Record{Life: life, Seq: at.Len + 1, ID: hex.EncodeToString(sum[:16]), Data: data}
}

// grow appends n records to key through the first handle, from position at, and returns them.
func (r *run) grow(key session.Key, at session.Position, n int, next session.Attention) (session.Position, []session.Record) {
	r.tb.Helper()
	var all []session.Record
	for range n {
		rec := record(at, key.String())
		r.need(r.s.Append(r.ctx, key, at, rec, next), "append record %d of %s", rec.Seq, key)
		all = append(all, rec)
		at = rec.Position()
	}
	return at, all
}

// head reads the head of key through s.
func (r *run) head(s session.Store, key session.Key) session.Head {
	heads, err := s.Heads(r.ctx, []session.Key{key})
	r.need(err, "Heads of %s", key)
	if !r.want(len(heads) == 1, "Heads of one key returned %d heads", len(heads)) {
		panic(stop{})
	}
	return heads[0]
}

// wantHead checks the head of key but for its update time.
func (r *run) wantHead(s session.Store, key session.Key, at session.Position, next session.Attention, when string) {
	got := r.head(s, key)
	got.Updated = 0
	want := session.Head{Key: key, Position: at, Attention: next}
	r.want(reflect.DeepEqual(got, want), "%s: head of %s is %s, want %s", when, key, show(got), show(want))
}

// wantRecords checks that key holds exactly these records.
func (r *run) wantRecords(s session.Store, key session.Key, after uint64, want []session.Record, when string) {
	_, got, err := s.Read(r.ctx, key, after, 0)
	if r.want(err == nil, "%s: read %s after %d: %v", when, key, after, err) {
		r.want(sameRecords(got, want), "%s: records of %s after %d are %s, want %s", when, key, after, list(got), list(want))
	}
}

func sameRecords(a, b []session.Record) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Position() != b[i].Position() || !bytes.Equal(a[i].Data, b[i].Data) {
			return false
		}
	}
	return true
}

func list(records []session.Record) string {
	out := make([]string, len(records))
	for i, r := range records {
		out[i] = fmt.Sprintf("%d.%d:%.6s(%d bytes)", r.Life, r.Seq, r.ID, len(r.Data))
	}
	return "[" + strings.Join(out, " ") + "]"
}

func show(h session.Head) string {
	tomb := "none"
	if h.Tomb != nil {
		tomb = fmt.Sprintf("%+v", *h.Tomb)
	}
	return fmt.Sprintf("{%s %+v %+v tomb %s}", h.Key, h.Position, h.Attention, tomb)
}

// keysOf are the storage forms of heads' keys, in their order.
func keysOf(heads []session.Head) string {
	out := make([]string, len(heads))
	for i, h := range heads {
		out[i] = h.Key.String()
	}
	return strings.Join(out, " ")
}

// pattern is n bytes that do not repeat soon and hold every value.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}
