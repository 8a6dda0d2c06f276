// Package redis keeps sessions in Redis: one server, a primary behind Sentinels, or a Cluster.
//
// # Where it is
//
// One grammar of URLs names all of them. User and password are those of the servers; in them write % / ? # @ as %25 %2F %3F
// %23 %40.
//
//	redis://[user:password@]host[:6379][/db]           one server; rediss:// with TLS
//	redis+sentinel://[user:password@]host[:26379],host…/master[/db][?sentinel_user=…&sentinel_password=…&tls=true]
//	redis+cluster://[user:password@]host[:6379],host…[?tls=true]
//
// A server that is down makes a store whose calls fail, and which works when the server does.
//
// # What is stored
//
// Every verb is one script in the folder lua; all names of keys are in keys.go. A session's keys are its head (a hash), its
// records (a stream whose ids are <number>-0, so that the stream itself refuses a number twice), its newest snapshot, its
// blobs and their parts. They share a slot of a Cluster with the agenda and the directory of their bucket, one of 1,024:
// so one script compares the head, adds the record, moves the head, the agenda and the expiry, and tells the watchers, or does
// nothing. The agenda of a bucket is two sorted sets: sessions without an owner by due, and owned ones in the order of owner
// and due. They are hints: a call that finds a session there reads its head, and forgets an entry that has none. Numbers are
// stored and compared as texts, since Lua's have 53 bits. What is large travels in parts of 512 KiB.
//
// The keys of an idle session end by themselves a day after its expiry, if the kernel's own erase does not come first; while
// work is unfinished they have no end. An erase removes every key that has the id in its name or value and leaves a tombstone
// under a hash, which ends at its time, and an hour after the erase at the earliest.
//
// A value of the kernel's predecessor has the name <prefix><session id>. Where a session has no head such a key is looked
// for; when it is there, every call on that session is an error of kind Unreadable, and the key is left alone.
//
// # What is known after an error
//
// go-redis asks a command for its bytes when it writes them to a connection. Each command gives them once, and not at all
// after its caller has given up. So it is always known whether anything can have reached a server:
//
//   - The connection cannot be made, no connection is free in time, the context ends first: nothing was sent, the error wraps
//     session.ErrNotSent, and nothing will be.
//   - The server declines: LOADING, READONLY, NOREPLICAS, CLUSTERDOWN, MASTERDOWN, MISCONF, OOM, NOAUTH and their like come
//     before a script runs, or from its first write, before which our scripts change nothing: ErrNotSent. Every other error
//     reply proves nothing.
//   - MOVED, ASK, TRYAGAIN and NOSCRIPT say that nothing ran and what to do; that is done, a few times at most. Nothing else
//     is ever sent again.
//   - The connection breaks or time is over after the command was sent: OutcomeUnknown. The connection is closed.
//   - The guard does not hold: session.ErrConflict, and the script has written nothing.
//
// Scripts that only read delete a key that is never there. That is a write which a replica refuses, so whoever is connected
// to a primary that was demoted gets an error instead of what it remembers.
//
// # Levels
//
// At level async an append counts when the primary has it. At level replicated, every write is followed by WAIT on the same
// connection, and counts when so many replicas have it; with fewer it is of unknown outcome: the primary keeps it. So that a
// record of unknown outcome is not taken for a safe one, and not shown to anyone, Read at this level first waits until
// replicas have what it returns, and fails otherwise; Heads and Due do not wait.
//
// # Failure cases
//
//   - The primary dies: async loses what no replica had; replicated loses nothing that was acknowledged, if the replica that
//     takes over is one that had it: Sentinels and Clusters choose the one that is ahead. A Cluster needs two replicas per
//     shard, else nothing counts after the first failover.
//   - The primary is cut off or frozen and another one takes over: what it acknowledges to itself alone in the meantime is
//     lost at level async. At level replicated nobody is told that it counts. The kernel notices heads that went back.
//   - It wakes up: idle connections to it are closed when the Sentinels or the map of the Cluster name another; until it has
//     been demoted, which takes moments, a connection that was missed can still read from it what is old.
//   - The server restarts and had no log: the store says Corrupt instead of passing for a new one, as long as a process lives
//     that knew it. `ak doctor` reports the set-up.
//   - A server is frozen: each call ends within its context or Config.OpTimeout, whichever is first. Only calls to that server
//     wait. Due and Heads return what the other servers of a Cluster said, with an error.
//   - A slot of a Cluster is being moved: writes into its buckets are refused (ErrNotSent) until it has arrived.
package redis
