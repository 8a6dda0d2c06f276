//go:build akformat2 && !akformat2w

package session

// Writes is the newest record version that this build writes: it is the release before the one that writes version 2.
const Writes = 1
