package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/agentkernel/agentkernel/fault"
)

// lockSlice is how long one attempt to take the write lock lasts, in milliseconds. Between attempts the writer looks
// whether anyone still waits for the batch.
const lockSlice = 50

// conns is everything that is open on the file. After an input/output error it is closed as a whole.
type conns struct {
	db    *sql.DB   // makes the writing connection
	write *sql.Conn // the only one that writes; used by the writer goroutine alone
	stmt  map[string]*sql.Stmt
	read  *sql.DB
	reads [numReads]*sql.Stmt
}

// dsn names the file as a URI, in which every path can be written. SQLite is told not to make it: a file that vanished
// must be an error, never an empty store.
func dsn(path string, pragmas ...string) string {
	q := url.Values{"mode": {"rw"}, "_pragma": append([]string{fmt.Sprintf("busy_timeout(%d)", lockSlice)}, pragmas...)}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String()
}

// dial opens the connections and checks what the file holds. An empty file becomes a store if mayCreate says so.
func dial(ctx context.Context, path string, cfg Config, mayCreate bool) (*conns, error) {
	c := &conns{stmt: map[string]*sql.Stmt{}}
	if err := c.open(ctx, path, cfg, mayCreate); err != nil {
		c.close()
		if ctx.Err() != nil {
			return nil, readErr(ctx, "sqlite.Open", err)
		}
		return nil, classify("sqlite.Open", err)
	}
	return c, nil
}

func (c *conns) open(ctx context.Context, path string, cfg Config, mayCreate bool) (err error) {
	// fullfsync matters on systems where fsync does not reach the disk; elsewhere it does nothing.
	c.db, err = sql.Open("sqlite", dsn(path, "secure_delete(1)", "synchronous(FULL)", "fullfsync(1)", "trusted_schema(0)",
		fmt.Sprintf("max_page_count(%d)", maxPages)))
	if err != nil {
		return err
	}
	err = untilFree(ctx, cfg.BusyTimeout, func() error {
		if c.write == nil {
			conn, err := c.db.Conn(ctx)
			if err != nil {
				return err
			}
			c.write = conn
		}
		return initialise(c.write, mayCreate)
	})
	if err != nil {
		return err
	}
	c.read, err = sql.Open("sqlite", dsn(path, "query_only(1)", "trusted_schema(0)"))
	if err != nil {
		return err
	}
	c.read.SetMaxOpenConns(cfg.Readers)
	c.read.SetMaxIdleConns(cfg.Readers)
	return c.prepareReads(ctx)
}

// untilFree repeats f while another process holds the file. It is used at open only, where SQLite's own waiting does
// not cover the switch to the write-ahead log.
func untilFree(ctx context.Context, most time.Duration, f func() error) error {
	for end := time.Now().Add(most); ; {
		err := f()
		if !isBusy(err) || time.Now().After(end) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(lockSlice * time.Millisecond / 10):
		}
	}
}

// exec runs a statement on the writing connection and returns how many rows it changed. The statement is prepared at
// its first use. No context is passed: the driver would interrupt a transaction that must complete.
func (c *conns) exec(query string, args ...any) (int64, error) {
	st, err := c.prepared(query)
	if err != nil {
		return 0, err
	}
	res, err := st.ExecContext(context.Background(), args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// row reads one row on the writing connection; found is false when there is none.
func (c *conns) row(query string, args []any, into ...any) (found bool, err error) {
	st, err := c.prepared(query)
	if err != nil {
		return false, err
	}
	err = st.QueryRowContext(context.Background(), args...).Scan(into...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

func (c *conns) prepared(query string) (*sql.Stmt, error) {
	if st := c.stmt[query]; st != nil {
		return st, nil
	}
	st, err := c.write.PrepareContext(context.Background(), query)
	if err == nil {
		c.stmt[query] = st
	}
	return st, err
}

// truncate copies the log into the database and cuts it to nothing, so that no older version of a page is left. It
// reports false when a reader was in the way.
func (c *conns) truncate() bool {
	var busy, logged, copied int
	err := c.write.QueryRowContext(context.Background(), "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &logged, &copied)
	return err == nil && busy == 0
}

// close closes everything. Closing ends an open transaction by rolling it back.
func (c *conns) close() error {
	var errs []error
	for _, st := range c.stmt {
		errs = append(errs, st.Close())
	}
	if c.read != nil {
		errs = append(errs, c.read.Close())
	}
	if c.write != nil {
		errs = append(errs, c.write.Close())
	}
	if c.db != nil {
		errs = append(errs, c.db.Close())
	}
	return errors.Join(errs...)
}

// acquire returns the open connections for reading, opening them anew when a failure closed them. The caller calls
// release when it is done with them.
func (s *Store) acquire(ctx context.Context) (c *conns, release func(), err error) {
	for {
		s.mu.RLock()
		if s.closed {
			s.mu.RUnlock()
			return nil, nil, &fault.Error{Kind: fault.Unavailable, Err: errClosed}
		}
		if s.conns != nil {
			return s.conns, s.mu.RUnlock, nil
		}
		s.mu.RUnlock()
		if err := s.reopen(ctx); err != nil {
			return nil, nil, err
		}
	}
}

// reopen opens the connections when there are none.
func (s *Store) reopen(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns != nil || s.closed {
		return nil
	}
	c, err := dial(ctx, s.path, s.cfg, false)
	if err == nil {
		s.conns = c
	}
	return err
}

// drop closes the connections after a failure; the next use opens new ones. It waits for reads that are under way.
func (s *Store) drop(c *conns) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns == c {
		s.conns = nil
		_ = c.close() // they are broken; what closing says adds nothing
	}
}
