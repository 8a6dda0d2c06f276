package postgres

// The statements, by name. "{s}" stands for the schema.
const (
	stMove = iota
	stBegin
	stAgain
	stErase
	stEraseUnused
	stDropRecords
	stDropSnapshot
	stDropParts
	stDropBlobs
	stRead
	stFirst
	stHeads
	stPosition
	stPutSnapshot
	stSnapshot
	stTrim
	stTouchBlob
	stPutBlob
	stPutPart
	stBlob
	stBlobs
	stDropBlob
	stDue
	stList
	stTenants
	stBeat
	stCleanTombs
	stCleanHints
	stReplicas
	stLeave
	stPutHint
	stHints
	stMeta
	stRaise
	numStatements
)

const (
	// clock is the store's time in milliseconds: of the statement, by the server.
	clock = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"

	// headColumns are what scanHead reads.
	headColumns = "h.tenant, h.id, h.life, h.len, h.last_id, h.owner, h.epoch, h.due, h.expiry, h.updated, h.until, h.keys"

	// addRecord ends a statement whose part "moved" has returned the session's number, if its guard held.
	addRecord = ` INSERT INTO {s}.records (sid, seq, id, data) SELECT moved.sid, $4::bigint, $5::text, $10::bytea FROM moved`

	// begun makes a session's columns those after its first record.
	begun = `tenant = $2, id = $3, life = $11::bigint + 1, len = $4, last_id = $5, owner = $6, epoch = $7, due = $8, expiry = $9, updated = ` + clock + `, until = NULL, keys = NULL`
)

var statements = [numStatements]string{
	// An append. The UPDATE waits for another writer of the row and then compares the guard again with what that one
	// left; where it does not hold there is no row in "moved", and nothing is inserted.
	stMove: `WITH moved AS (
		UPDATE {s}.sessions SET len = $4, last_id = $5, owner = $6, epoch = $7, due = $8, expiry = $9, updated = ` + clock + `
		WHERE hash = $1 AND id = $3 AND tenant = $2 AND life = $11 AND len = $12 AND last_id = $13 RETURNING sid)` + addRecord,

	// The first append to an id that was never used. A row that is there already stops it, unless it is the tombstone of
	// an id that was erased without ever having been used.
	stBegin: `WITH moved AS (
		INSERT INTO {s}.sessions AS h (hash, tenant, id, life, len, last_id, owner, epoch, due, expiry, updated)
		VALUES ($1, $2, $3, $11::bigint + 1, $4, $5, $6, $7, $8, $9, ` + clock + `)
		ON CONFLICT (hash) DO UPDATE SET ` + begun + ` WHERE h.id IS NULL AND h.life = $11
		RETURNING h.sid)` + addRecord,

	// The first append to an id that was erased, in place of its tombstone.
	stAgain: `WITH moved AS (
		UPDATE {s}.sessions SET ` + begun + ` WHERE hash = $1 AND id IS NULL AND life = $11 RETURNING sid)` + addRecord,

	// An erase leaves the row as a tombstone. What belongs to the session is deleted by the statements after it: each
	// sees what was committed before it, and this one holds the row by then.
	stErase: `UPDATE {s}.sessions SET tenant = NULL, id = NULL, len = 0, last_id = '', owner = '', epoch = 0, due = 0, expiry = 0, updated = 0,
		until = $5, keys = $6::text[]
		WHERE hash = $1 AND life = $2 AND len = $3 AND last_id = $4 RETURNING sid`,
	stEraseUnused: `INSERT INTO {s}.sessions AS h (hash, life, len, last_id, owner, epoch, due, expiry, updated, until, keys)
		VALUES ($1, 0, 0, '', '', 0, 0, 0, 0, $2, $3::text[])
		ON CONFLICT (hash) DO UPDATE SET until = EXCLUDED.until, keys = EXCLUDED.keys WHERE h.id IS NULL AND h.life = 0 RETURNING sid`,
	stDropRecords:  `DELETE FROM {s}.records WHERE sid = $1`,
	stDropSnapshot: `DELETE FROM {s}.snapshots WHERE sid = $1`,
	stDropParts:    `DELETE FROM {s}.blob_parts WHERE bid IN (SELECT bid FROM {s}.blobs WHERE hash = $1)`,
	stDropBlobs:    `DELETE FROM {s}.blobs WHERE hash = $1`,

	stRead: `SELECT ` + headColumns + `, r.seq, r.id, r.data FROM {s}.sessions h
		LEFT JOIN LATERAL (SELECT seq, id, data FROM {s}.records WHERE sid = h.sid AND seq > $2 ORDER BY seq LIMIT $3) r ON true
		WHERE h.hash = $1 ORDER BY r.seq`,
	stFirst: `SELECT coalesce(min(r.seq), 0) FROM {s}.records r JOIN {s}.sessions h ON h.sid = r.sid WHERE h.hash = $1`,
	stHeads: `SELECT ` + headColumns + `, h.hash FROM {s}.sessions h WHERE h.hash = ANY($1::bytea[])`,

	stPosition: `SELECT sid, id IS NOT NULL, life, len FROM {s}.sessions WHERE hash = $1`,
	stPutSnapshot: `INSERT INTO {s}.snapshots AS n (sid, seq, data) VALUES ($1, $2, $3)
		ON CONFLICT (sid) DO UPDATE SET seq = EXCLUDED.seq, data = EXCLUDED.data WHERE EXCLUDED.seq >= n.seq`,
	stSnapshot: `SELECT h.life, n.seq, n.data FROM {s}.sessions h JOIN {s}.snapshots n ON n.sid = h.sid WHERE h.hash = $1 AND h.id IS NOT NULL`,
	stTrim: `DELETE FROM {s}.records WHERE sid = $1 AND seq <= $2 AND seq < $3
		AND seq <= (SELECT seq FROM {s}.snapshots WHERE sid = $1)`,

	// The time of a blob goes up each time it is put, however short the time between: a drop must see the difference.
	stTouchBlob: `UPDATE {s}.blobs SET written = greatest(` + clock + `, written + 1) WHERE hash = $1 AND life = $2 AND digest = $3`,
	stPutBlob: `INSERT INTO {s}.blobs (hash, life, digest, size, written) VALUES ($1, $2, $3, $4, ` + clock + `)
		ON CONFLICT DO NOTHING RETURNING bid`,
	stPutPart: `INSERT INTO {s}.blob_parts (bid, part, data) VALUES ($1, $2, $3)`,
	stBlob: `SELECT b.size, p.data FROM {s}.blobs b LEFT JOIN {s}.blob_parts p ON p.bid = b.bid
		WHERE b.hash = $1 AND b.life = $2 AND b.digest = $3 ORDER BY p.part`,
	stBlobs: `SELECT digest, size, written FROM {s}.blobs WHERE hash = $1 AND life = $2 ORDER BY digest`,
	stDropBlob: `WITH dropped AS (
		DELETE FROM {s}.blobs WHERE hash = $1 AND life = $2 AND digest = $3 AND written = $4 RETURNING bid)
		DELETE FROM {s}.blob_parts WHERE bid IN (SELECT bid FROM dropped)`,

	stDue: `SELECT ` + headColumns + ` FROM {s}.sessions h
		WHERE h.owner = $1 AND h.due <> 0 AND h.due <= $2 AND h.id IS NOT NULL ORDER BY h.due, h.tenant, h.id LIMIT $3`,
	stList: `SELECT ` + headColumns + ` FROM {s}.sessions h
		WHERE h.tenant = $1 AND h.id > $2 AND h.id IS NOT NULL AND ($3::text = '' OR strpos(h.id, $3::text) > 0)
		AND (NOT $4::boolean OR h.owner <> '' OR h.due <> h.expiry) ORDER BY h.id LIMIT $5`,
	// Each tenant is found by the index behind the one before, however many sessions it has.
	stTenants: `WITH RECURSIVE t AS (
		(SELECT tenant FROM {s}.sessions WHERE id IS NOT NULL ORDER BY tenant LIMIT 1)
		UNION ALL
		SELECT (SELECT h.tenant FROM {s}.sessions h WHERE h.id IS NOT NULL AND h.tenant > t.tenant ORDER BY h.tenant LIMIT 1)
		FROM t WHERE t.tenant IS NOT NULL)
		SELECT tenant FROM t WHERE tenant IS NOT NULL`,

	stBeat: `INSERT INTO {s}.replicas (id, counter, info) VALUES ($1, $2, $3)
		ON CONFLICT (id) DO UPDATE SET counter = EXCLUDED.counter, info = EXCLUDED.info`,
	// Rows that another replica is deleting are left to it.
	stCleanTombs: `DELETE FROM {s}.sessions WHERE hash IN (
		SELECT hash FROM {s}.sessions WHERE until < ` + clock + ` AND id IS NULL LIMIT $1 FOR UPDATE SKIP LOCKED)`,
	stCleanHints: `DELETE FROM {s}.hints WHERE name IN (
		SELECT name FROM {s}.hints WHERE until <= ` + clock + ` LIMIT $1 FOR UPDATE SKIP LOCKED)`,
	stReplicas: `SELECT id, counter, info FROM {s}.replicas ORDER BY id`,
	stLeave:    `DELETE FROM {s}.replicas WHERE id = $1`,
	stPutHint: `INSERT INTO {s}.hints (name, value, until) VALUES ($1, $2, $3)
		ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value, until = EXCLUDED.until`,
	stHints: `SELECT name, value, until FROM {s}.hints WHERE starts_with(name, $1::text) AND until > ` + clock + ` ORDER BY name`,

	stMeta:  `SELECT format, generation, buckets, prefix FROM {s}.meta`,
	stRaise: `UPDATE {s}.meta SET generation = generation + 1 WHERE one_row`,
}
