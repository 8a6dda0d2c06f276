// Package sqlite keeps sessions in one SQLite file. It is the default store: durable, without a server, for one machine.
// Several processes on that machine may share the file.
//
// # How an append becomes durable
//
// All writes of a process go through one goroutine that owns the one writing connection. It takes the request that has
// waited longest, and with it everything else that waits by then, up to 512; it opens one transaction, runs each
// request, commits, and only then answers. There is no timer: a lone writer pays for one sync and waits for nobody, and
// a crowd shares a sync, because requests gather while the one before is under way. The commit syncs the write-ahead
// log (journal_mode=WAL, synchronous=FULL), so an answer means that the record survives the process and the machine.
//
// The guard of an append is the WHERE clause of an UPDATE on the session's row. A request whose guard does not hold has
// changed nothing; it is answered with a conflict, and the rest of its batch commits. A request that fails otherwise
// rolls the batch back, and each of the batch is then run in a transaction of its own, so that one bad request cannot
// fail its neighbours.
//
// BEGIN IMMEDIATE takes the file's write lock before anything is compared, so two processes cannot both pass a guard.
//
// # Failure cases
//
//   - The context ends while the request is queued, or while the transaction waits for another process's lock: the
//     request is withdrawn and the error wraps session.ErrNotSent.
//   - The context ends while the request is inside the transaction: it goes on, and the caller is told
//     outcome_unknown.
//   - The lock is not free within Config.BusyTimeout, the disk is full, the file is read-only: the transaction is
//     rolled back; the error wraps session.ErrNotSent.
//   - COMMIT fails: the record may be in the log or not. The error is outcome_unknown. After a failed sync the kernel
//     may have dropped the pages and will report success the next time, so the connections are closed, and what is on
//     the disk is read again through new ones before anything else is done.
//   - The process dies: the next one to open the file replays the log up to its last whole commit. Nothing that was
//     answered is lost; what was not answered may be there or not.
//   - The machine dies: the same, if the disk keeps what it said it synced. [Store.Durability] says so.
//   - The file disappears or is replaced under a running process: not detected until the connections are opened anew,
//     and then an error, never an empty store. Restore only while nothing runs.
//   - The file reaches 64 GiB: writes are refused like on a full disk. Above that size a scrub could not tell pages
//     apart.
//   - A network file system without working locks: two processes can corrupt the file. Use a local disk.
//
// # What erasing leaves
//
// Erase deletes the session's rows in one transaction and leaves a tombstone under a hash of the key. secure_delete
// overwrites deleted content with zeros, but that is not enough: when SQLite splits or merges pages it leaves copies of
// rows in the unused part of pages, and the write-ahead log holds the pages as they were. So every erase starts a scrub:
// the writer goes through the pages of the file in slices, between batches and while the queue is empty, zeroes unused
// space, and then copies the log back and cuts it to nothing. Erase answers when its transaction is committed; the bytes
// are gone a moment later (some seconds for each GB of file), at the latest when Close returns. A scrub that a
// crash cut short is done by the next process that opens the file. A reader or writer of another process that is in the
// way of a scrub delays it to the next write.
//
// Backups, file system snapshots and the spare blocks of a flash disk are beyond the reach of this.
//
// # Reading
//
// Reads use a small pool of connections that cannot write. Each runs in one transaction, which in this journal mode is
// one moment of the file; readers and the writer do not wait for each other.
package sqlite
