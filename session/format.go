//go:build !akformat2 && !akformat2w

package session

// The record versions of this release. Two adjacent releases run side by side while one replaces the other, so a new
// version takes two releases: the first one reads it and goes on writing the old one, the second one writes it, and does
// so only while every live replica reads it. Builds with the tags akformat2 and akformat2w are those two releases as
// they would be if version 2 came; tests of rollouts use them.
const (
	// Reads is the newest record version that this release reads. It reads all older ones too.
	Reads = 1
	// Writes is the newest record version that this release writes.
	Writes = 1
)

func encode(b Batch) ([]byte, error) { return encode1(b) }

func decode(_ int, data []byte) (Batch, error) { return decode1(data) }
