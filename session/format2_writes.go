//go:build akformat2w

package session

// Writes is the newest record version that this build writes.
const Writes = 2
