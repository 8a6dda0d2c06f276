package session_test

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/agentkernel/agentkernel/session"
)

// id is what a record of these bytes is called, computed here once more.
func id(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:16])
}

// record is a record of life 1 that holds these bytes.
func record(seq uint64, data []byte) session.Record {
	return session.Record{Life: 1, Seq: seq, ID: id(data), Data: data}
}

// sum is a snapshot's hash, computed here once more.
func sum(data []byte) string {
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:])
}
