package redis

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/agentkernel/agentkernel/session"
)

// layout names every key of a store; no other file does.
type layout struct {
	prefix  string
	buckets int
}

// bucketOf is a stable hash of a session's key: it must never change, stored sessions would not be found.
func (l layout) bucketOf(key session.Key) int {
	sum := sha256.Sum256([]byte(key.String()))
	return int(binary.BigEndian.Uint64(sum[:8]) % uint64(l.buckets))
}

// tag begins the keys of a bucket. What stands in braces decides the slot of a Cluster, so a bucket is in one slot.
func (l layout) tag(bucket int) string { return fmt.Sprintf("%s{b%04d}:", l.prefix, bucket) }

// bucket are the keys that the sessions of one bucket share.
type bucket struct {
	due   string // sorted set: sessions without an owner, by due
	owned string // sorted set: owner, due and session, in lexicographic order
	names string // sorted set: tenant and id, in lexicographic order
	fence string // never there, or nothing that matters
}

func (l layout) bucket(n int) bucket {
	tag := l.tag(n)
	return bucket{due: tag + "due", owned: tag + "owned", names: tag + "names", fence: tag + "fence"}
}

// place are all keys and members of one session.
type place struct {
	bucket
	head, records, snapshot, blobs, chunks string // gone with the session
	tomb                                   string // named by a hash: the id must not outlive the session
	member                                 string // in due
	name                                   string // in names
}

func (l layout) place(key session.Key) place {
	n := l.bucketOf(key)
	tag, id := l.tag(n), key.String()
	sum := sha256.Sum256([]byte("agentkernel/tombstone/" + id))
	return place{
		bucket: l.bucket(n),
		head:   tag + "h:" + id, records: tag + "r:" + id, snapshot: tag + "s:" + id, blobs: tag + "b:" + id, chunks: tag + "c:" + id,
		tomb:   tag + "t:" + hex.EncodeToString(sum[:]),
		member: id,
		name:   key.Tenant + "\x00" + key.ID,
	}
}

// guarded are the keys of the verbs that change a session as a whole.
func (p place) guarded() []string {
	return []string{p.head, p.records, p.snapshot, p.blobs, p.chunks, p.tomb, p.due, p.owned, p.names}
}

// ownedMember stands in a bucket's owned set. All of an owner's lie together, in the order of due.
func (p place) ownedMember(next session.Attention) string {
	if next.Owner == "" || next.Due == 0 {
		return ""
	}
	return next.Owner + "\x00" + padded(next.Due) + "\x00" + p.member
}

// padded keeps the order of numbers in that of texts; before the epoch is as early as the epoch.
func padded(t session.Millis) string { return fmt.Sprintf("%019d", max(int64(t), 0)) }

// ownedRange selects what an owner has due up to a time.
func ownedRange(owner string, before session.Millis) (from, to string) {
	return "[" + owner + "\x00", "(" + owner + "\x00" + padded(before) + "\x01"
}

// splitOwned reads a member of an owned set.
func splitOwned(member string) (due int64, key session.Key, ok bool) {
	f := strings.SplitN(member, "\x00", 3)
	if len(f) != 3 {
		return 0, key, false
	}
	due, err := strconv.ParseInt(f[1], 10, 64)
	return due, session.ParseKey(f[2]), err == nil
}

// Keys that belong to no session. They share a slot of their own.
func (l layout) meta() string     { return l.prefix + "{meta}:meta" }
func (l layout) replicas() string { return l.prefix + "{meta}:replicas" }
func (l layout) hints() string    { return l.prefix + "{meta}:hints" }
func (l layout) fence() string    { return l.prefix + "{meta}:fence" }
func (l layout) channel() string  { return l.prefix + "{meta}:changes" }

// incumbent is where the kernel's predecessor kept a session: a pickle, which is not ours to read or to overwrite. It knew no
// tenants; our own keys have braces there, which no id may have.
func (l layout) incumbent(key session.Key) string { return l.prefix + key.ID }
