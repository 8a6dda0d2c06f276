// Package postgres keeps sessions in a schema of a PostgreSQL database (13 or newer), for any number of replicas.
//
// # How an append becomes durable
//
// An append is one statement, which is its own transaction: a guarded UPDATE of the session's row, and an INSERT of the
// record that takes its session from the row that the UPDATE returned. A guard that does not hold returns no row, so
// nothing is inserted, and the answer is a conflict. One round trip, one commit. The server answers when the commit is on
// its disk and, where synchronous_standby_names is set, on the standby's: every connection is set to
// synchronous_commit=on, whatever the default of the server or the role is.
//
// Two writers of one session meet at its row. The second waits for the first one's commit and then, at the isolation level
// read committed, which every connection is set to as well, the server compares its guard with what the first one left.
// The row is found by a hash of the session's key and outlives an erase as its tombstone, so that every decision between
// appends and erases, also the first append to an id and the one after an erase, is a change of one row or the unique
// insert of it; nothing is ever decided by looking into a second table, which read committed would see as of another
// moment.
//
// What stands beside a journal (snapshots, blobs, a trim) takes more statements. Such a transaction first takes a lock of
// the key that it shares with its like, an erase takes it alone; statements after it see what was committed before, so
// nothing can be added to a life that is being erased, and an erase sees all there is to delete. Appends do not need the
// lock.
//
// # Failure cases
//
// What a failed write says depends on who ended it, and on nothing else:
//
//   - No connection was had, the schema could not be looked at, preparing the statement failed, or the context ended
//     before the statement was handed to the connection: session.ErrNotSent.
//   - The server answered that one statement with an ERROR: it has rolled it back, session.ErrNotSent. This holds for a
//     full disk (53100), a serialization failure or a deadlock (40001, 40P01), a server that takes no writes (25006), a
//     missing right. Not for 40003, class 08 (a pooler speaking of its own connection) and class 57 (interrupted, at a
//     moment that is not told).
//   - The connection was lost, or the context ended, after that: outcome_unknown, also when the server said FATAL. pgx then
//     closes the connection; the statement may still be running, and may commit later.
//   - The server stops while a transaction of several statements is open: it is rolled back, session.ErrNotSent. Only a
//     COMMIT that was sent is unknown.
//   - The server gave up waiting for its standbys: it says success with a warning. The store takes the warning for
//     outcome_unknown, because a failover could forget the write.
//   - The server was killed: it replays its log, and nothing acknowledged is lost, given fsync=on and full_page_writes=on,
//     which Examine checks. Until it answers, calls fail with unavailable; nothing has to be restarted here.
//   - The server went away or takes no writes any more: all pooled connections are thrown away, since each would cost one
//     more write of unknown outcome. Every new connection is asked whether it takes writes, so with several hosts in the
//     URL, or an address that follows the primary, the new one is found. Reads go to the primary only; a standby would
//     show old heads.
//   - A primary was replaced while it was frozen or cut off, and wakes up: it does not know, and neither can this store.
//     Stopping it is the duty of whoever promotes another (a fence, or synchronous_standby_names, without which its
//     commits hang).
//   - The server does not answer: the call ends with its context, and the connection with it. Calls without an end wait
//     until the system gives the connection up.
//   - The tables are gone while the store runs: corrupt, never an empty store. A store that starts makes them where they
//     are missing.
//   - A newer release has changed the schema: unreadable at the start. Processes that run already go on.
//
// Nothing is sent twice: no write, and no read.
//
// # Making and changing the schema
//
// The first call looks at the schema, and makes or upgrades it. Migrations are embedded, one file for each version, each
// applied in a transaction of its own under a lock of the database, so many processes may start at once. A role without
// the right to make schemas works once `ak store init` was run by one that has it; it needs USAGE on the schema and SELECT,
// INSERT, UPDATE and DELETE on its tables.
//
// # Hints
//
// NOTIFY inside an append would make all commits of the database take turns (docs/adr/0021). So notifications are sent
// beside the appends, at most one in 20 ms for each process, by one connection; another one listens while somebody
// watches. Both are made again by themselves. A lost notification costs a poll.
//
// # What erasing leaves
//
// An erase deletes the records, snapshots and blobs, and empties the session's row but for the tombstone under a hash of
// the key. No row that can be read holds the id. Like every deleted row in PostgreSQL the bytes stay in the pages until
// VACUUM makes the room free (autovacuum does, after some time) and something else is written there; and in the
// write-ahead log, its archive, standbys that lag and backups for as long as these are kept. Whoever must prove that bytes
// are gone runs VACUUM FULL on the schema's tables and bounds how long archives are kept.
//
// # Poolers
//
// A pooler in session mode (PgBouncer, Pgpool) can stand between, apart from hints when it hands out connections by
// transaction. In transaction mode settings of a session do not hold: set synchronous_commit=on and
// default_transaction_isolation='read committed' for the role, and either let the pooler keep prepared statements
// (PgBouncer 1.21 and newer, max_prepared_statements) or write default_query_exec_mode=exec in the URL. Locks are of
// transactions and hold.
//
// # Load on the server
//
// Within a turn an append changes nothing that is indexed, so the row's new version stays in its page (HOT) and costs no
// index write; pages are filled to 70 % for it. A claim and a release move the agenda's index entry. A replica uses up to
// Config.MaxConns connections and two for hints. A connection that was idle for a second is asked for a sign of life
// before it is used, which is one more round trip, and no write.
package postgres
