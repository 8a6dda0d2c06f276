package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"sync"
	"sync/atomic"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// Store keeps sessions in a SQLite file. Make one with [Open].
type Store struct {
	path string
	cfg  Config

	mu     sync.RWMutex // held for reading while connections are used for reads, for writing while they are replaced
	conns  *conns       // nil after a failure, until the next use
	closed bool

	queueMu  sync.Mutex
	queue    []*request
	draining bool          // Close was called: nothing more is queued
	wake     chan struct{} // has room for one
	done     chan struct{} // closed when the writer has ended

	// Of the writer goroutine alone.
	batch        []*request // its array is used again
	scrub        scrub
	beforeCommit func() error // for tests: an error stands for a failed COMMIT

	clean atomic.Bool // nothing is left to scrub; for tests

	suspect atomic.Pointer[conns] // connections that failed a reader; the writer closes them
	watch   watch
}

var (
	_ session.Store   = (*Store)(nil)
	_ session.Watcher = (*Store)(nil)
)

// Local says that every replica is on this machine: a file is on one machine; network disks are not supported.
func (s *Store) Local() {}

// Durability declares that a commit is on the disk before it is answered.
func (s *Store) Durability() session.Durability {
	return session.Durability{
		Store: "sqlite", Level: "wal, synchronous=full",
		ProcessCrash:  session.Exposure{Loses: session.LosesNothing, Shown: "TestKilledProcessesLoseNothingThatWasAcknowledged"},
		MachineCrash:  session.Exposure{Loses: session.LosesNothing, Shown: "TestEveryCommitIsSynced"},
		Failover:      session.Exposure{Loses: session.CannotHappen},
		DiskLoss:      session.Exposure{Loses: session.LosesAll},
		ZoneLoss:      session.Exposure{Loses: session.LosesAll},
		OperatorError: session.Exposure{Loses: session.NotCovered},
		Note:          "holds if the disk keeps what it said it synced; the file is on one machine",
		AppendWrites:  1, // one sync of the log, shared by everything that was queued
	}
}

// Close answers what is queued, ends the scrub that an erase asked for, and closes the file. A second Close does nothing.
func (s *Store) Close() error {
	s.queueMu.Lock()
	s.draining = true
	s.queueMu.Unlock()
	s.signal()
	<-s.done // it returns when the scrub is done, or cannot be: then the next process to open the file does it
	s.watch.stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.conns
	s.closed, s.conns = true, nil
	if c == nil {
		return nil
	}
	if err := c.close(); err != nil {
		return classify("sqlite.Close", err)
	}
	return nil
}

// Statements of the readers, prepared once per connection by database/sql.
const (
	readHead = iota
	readTomb
	readRecords
	readFirst
	readSnapshot
	readBlob
	readBlobs
	readDue
	readList
	readTenants
	readReplicas
	readHints
	numReads
)

const headColumns = "tenant, id, life, len, last_id, owner, epoch, due, expiry, updated"

var readSQL = [numReads]string{
	readHead:     "SELECT " + headColumns + " FROM sessions WHERE tenant = ? AND id = ?",
	readTomb:     "SELECT life, until, keys FROM tombstones WHERE hash = ?",
	readRecords:  "SELECT seq, id, data FROM records WHERE sid = (SELECT sid FROM sessions WHERE tenant = ? AND id = ?) AND seq > ? ORDER BY seq LIMIT ?",
	readFirst:    "SELECT min(seq) FROM records WHERE sid = (SELECT sid FROM sessions WHERE tenant = ? AND id = ?)",
	readSnapshot: "SELECT s.life, n.seq, n.data FROM sessions s JOIN snapshots n ON n.sid = s.sid WHERE s.tenant = ? AND s.id = ?",
	readBlob: "SELECT b.size, p.data FROM blobs b LEFT JOIN blob_parts p ON p.bid = b.bid" +
		" WHERE b.tenant = ? AND b.id = ? AND b.life = ? AND b.digest = ? ORDER BY p.part",
	readBlobs: "SELECT digest, size, written FROM blobs WHERE tenant = ? AND id = ? AND life = ? ORDER BY digest",
	readDue:   "SELECT " + headColumns + " FROM sessions WHERE owner = ? AND due <> 0 AND due <= ? ORDER BY due, tenant, id LIMIT ?",
	readList: "SELECT " + headColumns + " FROM sessions WHERE tenant = ?1 AND id > ?2 AND (?3 = '' OR instr(id, ?3) > 0)" +
		" AND (?4 = 0 OR owner <> '' OR due <> expiry) ORDER BY id LIMIT ?5",
	readTenants:  "SELECT DISTINCT tenant FROM sessions ORDER BY tenant",
	readReplicas: "SELECT id, counter, info FROM replicas ORDER BY id",
	readHints:    "SELECT name, value, until FROM hints WHERE substr(name, 1, length(?1)) = ?1 AND until > ?2 ORDER BY name",
}

func (c *conns) prepareReads(ctx context.Context) (err error) {
	for i, q := range readSQL {
		if c.reads[i], err = c.read.PrepareContext(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

// reader is one read transaction: everything it sees is of one moment.
type reader struct {
	ctx context.Context
	tx  *sql.Tx
	c   *conns
}

// view runs f in a read transaction.
func (s *Store) view(ctx context.Context, op string, f func(*reader) error) error {
	if err := ctx.Err(); err != nil {
		return &fault.Error{Op: op, Kind: fault.KindOf(err), Err: err}
	}
	c, release, err := s.acquire(ctx)
	if err != nil {
		return readErr(ctx, op, err)
	}
	err = inTx(ctx, c, f)
	release()
	if err == nil {
		return nil
	}
	if isBroken(err) {
		// The writer may be in the middle of a transaction on them, so it is the writer that closes them.
		s.suspect.Store(c)
		s.signal()
	}
	return readErr(ctx, op, err)
}

func inTx(ctx context.Context, c *conns, f func(*reader) error) error {
	tx, err := c.read.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	return f(&reader{ctx: ctx, tx: tx, c: c})
}

// query runs one of the prepared statements and calls scan for each row.
func (r *reader) query(stmt int, args []any, scan func(*sql.Rows) error) error {
	rows, err := r.tx.StmtContext(r.ctx, r.c.reads[stmt]).QueryContext(r.ctx, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// tombHash is the key under which a tombstone stands; the prefix keeps it apart from other hashes of the id.
func tombHash(key session.Key) []byte {
	sum := sha256.Sum256([]byte("agentkernel/tombstone/" + key.String()))
	return sum[:]
}
