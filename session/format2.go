//go:build akformat2 || akformat2w

package session

import (
	"encoding/json"
	"time"
)

// Reads is the newest record version that this build reads.
const Reads = 2

// batch2 is a record of version 2, which exists in tests of rollouts only: its time is a text, which no reader of
// version 1 takes for a time.
type batch2 struct {
	Batch
	At string `json:"at"`
}

const layout2 = "2006-01-02T15:04:05.000Z07:00"

func encode(b Batch) ([]byte, error) {
	if b.V < 2 {
		return encode1(b)
	}
	return json.Marshal(batch2{Batch: b, At: time.UnixMilli(int64(b.At)).UTC().Format(layout2)})
}

func decode(v int, data []byte) (Batch, error) {
	if v < 2 {
		return decode1(data)
	}
	var b batch2
	if err := json.Unmarshal(data, &b); err != nil {
		return Batch{}, err
	}
	at, err := time.Parse(layout2, b.At)
	b.Batch.At = Millis(at.UnixMilli())
	return b.Batch, err
}
