// Package dynamodb keeps sessions in one table of Amazon DynamoDB, or of a server that speaks its API.
//
// # Where things are
//
// The table has the keys of the incumbent's: session_id and key, both strings, and expiry_time as the TTL attribute.
// Every item of this package stands in a partition whose name begins with "ak#", which no session id of ours can:
//
//	ak#s#<hash of the session's key>   everything of one session
//	    ak#head                        the head, or what is left of it after an erase
//	    ak#<life>#r#<number>#<id>      a record; behind it its parts (#00001 …) where it is too large for an item
//	    ak#<life>#p#<number>#<nonce>   a snapshot, and its parts
//	    ak#<life>#b#<digest>           a blob: size, time, and the content of a small one
//	    ak#<life>#c#<nonce>            the content of a large blob, and its parts
//	    ak#t#<nonce>                   the keys of a tombstone that are too many for the head
//	ak#d#<tenant>, <id>#<life>         the directory: sessions of one tenant in the order of their ids
//	ak#tenants, ak#replicas, ak#hints, ak#meta
//
// The sparse index "due" (agenda, due; keys only) finds heads by who must look after them. Sessions without an owner are
// spread over eight parts of it, so that no part is hot.
//
// A session without a tenant whose id is the name of a partition with items in it is the incumbent's: the first touch of
// such an id, which is when there is no head, looks there, and answers with an error of kind Unreadable. Nothing of this
// package ever writes into or deletes from such a partition.
//
// # How an append becomes durable
//
// Two requests, and nothing spans items. First the record is put as an item of its own (with its parts; with the first
// record of a life also the directory's entry). Its name holds life, number and record id, so two writers cannot
// overwrite each other's. Then one conditional update moves the head: it compares life, length and last id, and sets
// position, owner, epoch, due and expiry. That update is the append; a record that no head leads to does not exist.
// Each record item carries the id of its predecessor, so readers find the chain that ends in the head's last id and pass
// over whatever else stands at the same numbers. The price of a round trip more than an inline record is in
// docs/adr/0020-dynamodb-layout.md.
//
// An erased session keeps its head item, stripped to life, tombstone and time; so "never used" and "erased in life n"
// are conditions on one item, and a head that is absent has position zero.
//
// # Failure cases
//
//   - The record's put fails, in any way, also late: the head was not touched and will not be; session.ErrNotSent. The
//     item that may be there is an orphan, which readers ignore and a trim or an erase deletes.
//   - The service refuses the head's update (throttled, no permission, no table), or no connection was had for it:
//     session.ErrNotSent. Throttling is tried again first, a few times within the context.
//   - Its answer is lost, comes too late, or is a 5xx: outcome_unknown. It is not sent again: the kernel reads and decides.
//   - The condition does not hold: session.ErrConflict. The record's item is deleted if the head proves that it is an
//     orphan: another record stands at its number, or its life is over. Once a head has left a position it never comes
//     back to it, so no late update can make such a record part of the journal. Where the head does not prove it (it has
//     moved on by more than one, and an earlier attempt with the same record may have moved it), the item stays.
//   - A reader meets a gap: it reads the head again. A trim or an erase explains it, else the session is corrupt. A read
//     needs no second look at the head otherwise: records never change, so the chain that ends at the head as it was read
//     is what the session was then.
//   - A trim sets the head's first number, then deletes; one that dies in between is finished by the next.
//   - An erase replaces the head by a tombstone that still has the session's key and is marked unswept, deletes
//     everything of that life and those before, and then strips the tombstone. One that dies in between has
//     erased; what it left is found in the index and deleted by any replica within minutes (see Beat). Items of later
//     lives are never touched. A writer that dies between its put and its update while an erase runs can leave an orphan,
//     with the content of that one record, until the session's next erase.
//   - A blob is put between two looks at the head. When the second one sees another life, the blob is removed again.
//   - The index is behind: a session is looked after later. Due reads every head that it found, with strong
//     consistency, and returns what still holds.
//   - The table is missing, or without this store's own items: an error of kind Config that says to run "ak store init",
//     at each call until it is there. A missing table is never an empty one.
//
// # Native TTL
//
// DynamoDB deletes expired items one by one, in no order, within days. A head without its records, or records without
// their head, would be a session that has lost its past, so nothing of a session has an expiry_time: the kernel's conditional
// erase carries out expiry. Only tombstones and hints have one, which nothing refers to. After a tombstone is gone the id
// counts as never used, with everything of its former lives deleted long before.
//
// # Cost
//
// An append of up to 1 KB is a write of the record and one of the head, and one of the index when owner or due
// change; the first of a life also one of the directory. Reads are strongly consistent, but for the index. A session that
// goes on costs no read; a first append of an id without tenant one, for the look at the incumbent's partition.
package dynamodb
