package sqlite

import (
	"context"
	"database/sql"
	"sync"
	"time"

	"github.com/agentkernel/agentkernel/fault"
)

// watch polls for changes while someone wants to know of them.
type watch struct {
	mu      sync.Mutex
	chans   map[chan struct{}]struct{}
	end     context.CancelFunc // ends the poller, nil when there is none
	pollers sync.WaitGroup     // one that was told to end may still be at it when the next one starts
	stopped bool
}

// Watch signals after changes to the file. SQLite counts the commits of other connections, so writes of this process
// are signalled too. The file is looked at only while at least one context lives.
func (s *Store) Watch(ctx context.Context) (<-chan struct{}, error) {
	const op = "sqlite.Watch"
	if err := ctx.Err(); err != nil {
		return nil, &fault.Error{Op: op, Kind: fault.KindOf(err), Err: err}
	}
	w := &s.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return nil, &fault.Error{Op: op, Kind: fault.Unavailable, Err: errClosed}
	}
	if w.end == nil {
		pollCtx, end := context.WithCancel(context.Background())
		w.end = end
		w.chans = map[chan struct{}]struct{}{}
		p := &poller{path: s.path, every: s.cfg.WatchEvery, changed: w.broadcast}
		_ = p.look(pollCtx) // from here on changes count; a failure is met again at the next look
		w.pollers.Go(func() { p.run(pollCtx) })
	}
	ch := make(chan struct{}, 1)
	w.chans[ch] = struct{}{}
	context.AfterFunc(ctx, func() { w.remove(ch) })
	return ch, nil
}

// remove ends the poller with the last watcher.
func (w *watch) remove(ch chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.chans, ch)
	if len(w.chans) == 0 && w.end != nil {
		w.end()
		w.end = nil
	}
}

// stop ends the poller for good and waits for it.
func (w *watch) stop() {
	w.mu.Lock()
	w.stopped = true
	if w.end != nil {
		w.end()
		w.end = nil
	}
	w.mu.Unlock()
	w.pollers.Wait()
}

func (w *watch) broadcast() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for ch := range w.chans {
		select {
		case ch <- struct{}{}:
		default: // one signal is waiting already
		}
	}
}

// poller compares SQLite's data version, which goes up with the commits of other connections.
type poller struct {
	path    string
	every   time.Duration
	changed func()
	db      *sql.DB
	conn    *sql.Conn
	version int64
}

func (p *poller) run(ctx context.Context) {
	defer p.close()
	tick := time.NewTicker(p.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		before := p.version
		if err := p.look(ctx); err != nil {
			p.close()
			p.version = 0
			p.changed() // nothing is known, so something may have changed
		} else if p.version != before {
			p.changed()
		}
	}
}

// look reads the data version, opening a connection when there is none.
func (p *poller) look(ctx context.Context) (err error) {
	if p.conn == nil {
		p.close()
		if p.db, err = sql.Open("sqlite", dsn(p.path, "query_only(1)")); err != nil {
			return err
		}
		if p.conn, err = p.db.Conn(ctx); err != nil {
			return err
		}
	}
	return p.conn.QueryRowContext(ctx, "PRAGMA data_version").Scan(&p.version)
}

func (p *poller) close() {
	if p.conn != nil {
		_ = p.conn.Close()
	}
	if p.db != nil {
		_ = p.db.Close()
	}
	p.conn, p.db = nil, nil
}
