package session_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/agentkernel/agentkernel/session"
)

// toolRound is what a turn with one round of an at-most-once tool journals: acceptance, the answer and the intent, the
// result, the last answer.
func toolRound(seq, epoch uint64) [][]session.Event {
	ask := done(seq, "m0", session.ModelStep)
	ask.Result.Value = json.RawMessage(`{"message":{"text":"` + strings.Repeat("word ", 100) + `"}}`)
	last := done(seq, "m1", session.ModelStep)
	last.Result.Value = ask.Result.Value
	return [][]session.Event{
		{accepted(), claimed("r1", epoch)},
		{ask, started(seq, "m0.0")},
		{done(seq, "m0.0", session.ToolStep)},
		{last, completed(seq)},
	}
}

// many is a journal of n turns with a tool round each.
func many(b testing.TB, n int) []session.Record {
	var recs []session.Record
	at := session.Position{}
	for i := range n {
		for _, events := range toolRound(at.Len+1, uint64(i+1)) {
			rec, _, err := session.NewRecord(at, "r1", uint64(i+1), session.Millis(1000+len(recs)), events)
			if err != nil {
				b.Fatal(err)
			}
			recs = append(recs, rec)
			at = rec.Position()
		}
	}
	return recs
}

// BenchmarkNewRecord makes the record with a model's answer and the intent of a call.
func BenchmarkNewRecord(b *testing.B) {
	events := toolRound(1, 1)[1]
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := session.NewRecord(session.Position{Life: 1, Len: 1, LastID: "x"}, "r1", 1, 1000, events); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkApply reads a turn with one tool round: four records, decoding included.
func BenchmarkApply(b *testing.B) {
	recs := many(b, 1)
	b.ReportAllocs()
	for b.Loop() {
		fold(b, recs)
	}
}

// BenchmarkPreview asks what becomes of the head when a long turn gets one more result.
func BenchmarkPreview(b *testing.B) {
	j := running(b)
	for i := range 100 {
		j.add(done(1, "m"+strings.Repeat("0", i), session.ModelStep))
	}
	rec, batch, err := session.NewRecord(j.s.At, "r1", 1, 5000, []session.Event{done(1, "last", session.ModelStep)})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := j.s.Preview(rec, batch, 0); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFold10k opens a session of ten thousand turns without a snapshot.
func BenchmarkFold10k(b *testing.B) {
	recs := many(b, 10_000)
	b.ReportAllocs()
	for b.Loop() {
		fold(b, recs)
	}
}

// TestApplyCostsNoMoreInALongSession compares a turn at the beginning of a session with one behind hundreds of others.
func TestApplyCostsNoMoreInALongSession(t *testing.T) {
	recs := many(t, 300)
	batches := make([]session.Batch, len(recs))
	for i, r := range recs {
		var err error
		if batches[i], err = r.Decode(); err != nil {
			t.Fatal(err)
		}
	}
	s := &session.Session{Key: key}
	turn := 0
	allocs := func() float64 { // of one turn, each time the next one
		return testing.AllocsPerRun(20, func() {
			for i := 4 * turn; i < 4*turn+4; i++ {
				if err := s.ApplyBatch(recs[i], batches[i]); err != nil {
					t.Fatal(err)
				}
			}
			turn++
		})
	}
	first := allocs()
	for turn < 250 {
		allocs()
	}
	if last := allocs(); last > first+2 {
		t.Errorf("a turn takes %.0f allocations at first and %.0f behind %d others", first, last, turn)
	}
}
