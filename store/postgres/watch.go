package postgres

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentkernel/agentkernel/fault"
)

const (
	newsEvery   = 20 * time.Millisecond // between two notifications of this process, at least
	lookEvery   = 30 * time.Second      // how often a listener that hears nothing asks whether its connection lives
	listenAgain = 2 * time.Second       // between two attempts to listen, at most
)

// news tells other processes that something changed: after the append, on a connection of its own, and not for each.
type news struct {
	s       *Store
	wake    chan struct{} // has room for one
	mu      sync.Mutex
	started bool
	stopped bool
}

// tell asks for a notification soon. It never waits.
func (n *news) tell() {
	select {
	case n.wake <- struct{}{}:
	default:
		return // one is asked for already
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.started && !n.stopped {
		n.started = true
		n.s.work.Go(n.run)
	}
}

func (n *news) stop() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.stopped = true
}

func (n *news) run() {
	ctx := n.s.life
	var conn *pgx.Conn
	defer func() { hangUp(conn) }()
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
		select {
		case <-ctx.Done():
			return
		case <-n.wake:
		}
		conn = n.send(ctx, conn)
		pause.Reset(newsEvery)
	}
}

// send notifies, with a new connection when the one it has is of no use any more, and returns the one to use next. It is
// a hint: what cannot be sent at the second attempt is left to those who poll.
func (n *news) send(ctx context.Context, conn *pgx.Conn) *pgx.Conn {
	ctx, cancel := context.WithTimeout(ctx, n.s.conn.ConnectTimeout)
	defer cancel()
	for range 2 {
		var err error
		if conn == nil {
			// A hint need not be on the disk.
			if conn, err = n.s.dial(ctx, "SET synchronous_commit = off"); err != nil {
				return nil
			}
		}
		if _, err = conn.Exec(ctx, "SELECT pg_notify($1, $2)", n.s.channel, n.s.self); err == nil {
			return conn
		}
		hangUp(conn)
		conn = nil
	}
	return nil
}

// dial makes a connection that is not of the pool and runs one statement on it.
func (s *Store) dial(ctx context.Context, sql string) (*pgx.Conn, error) {
	conn, err := pgx.ConnectConfig(ctx, s.conn.Copy())
	if err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, sql); err != nil {
		hangUp(conn)
		return nil, err
	}
	return conn, nil
}

func hangUp(conn *pgx.Conn) {
	if conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx)
}

// watch listens while someone wants to know.
type watch struct {
	s       *Store
	mu      sync.Mutex
	chans   map[chan struct{}]struct{}
	end     context.CancelFunc // ends the listener, nil when there is none
	stopped bool
}

// Watch signals after appends and erases by other processes; see session.Watcher. While at least one context lives, one
// connection listens. It is made again by itself when it is lost, and those who wait then hear that something may have
// changed.
func (s *Store) Watch(ctx context.Context) (<-chan struct{}, error) {
	const op = "postgres.Watch"
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
		listenCtx, end := context.WithCancel(s.life)
		w.end = end
		w.chans = map[chan struct{}]struct{}{}
		s.work.Go(func() { w.run(listenCtx) })
	}
	ch := make(chan struct{}, 1)
	w.chans[ch] = struct{}{}
	context.AfterFunc(ctx, func() { w.remove(ch) })
	return ch, nil
}

// remove ends the listener with the last watcher.
func (w *watch) remove(ch chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.chans, ch)
	if len(w.chans) == 0 && w.end != nil {
		w.end()
		w.end = nil
	}
}

// stop ends the listener for good.
func (w *watch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	if w.end != nil {
		w.end()
		w.end = nil
	}
}

func (w *watch) signal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for ch := range w.chans {
		select {
		case ch <- struct{}{}:
		default: // one signal is waiting already
		}
	}
}

// run listens until ctx ends, and begins again after failures, each time a little later.
func (w *watch) run(ctx context.Context) {
	for wait := 50 * time.Millisecond; ; {
		began := time.Now()
		w.listen(ctx)
		if time.Since(began) > listenAgain {
			wait = 50 * time.Millisecond
		}
		pause := time.NewTimer(wait/2 + rand.N(wait/2))
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
		}
		wait = min(2*wait, listenAgain)
	}
}

// listen passes on notifications until its connection fails or ctx ends. What was notified before it listened is not
// known, so it begins with a signal.
func (w *watch) listen(ctx context.Context) {
	dialCtx, cancel := context.WithTimeout(ctx, w.s.conn.ConnectTimeout)
	conn, err := w.s.dial(dialCtx, "LISTEN "+w.s.channel)
	cancel()
	if err != nil {
		return
	}
	defer hangUp(conn)
	w.signal()
	for {
		lookCtx, cancel := context.WithTimeout(ctx, lookEvery)
		n, err := conn.WaitForNotification(lookCtx)
		late := lookCtx.Err() != nil && ctx.Err() == nil
		cancel()
		switch {
		case err == nil:
			if n.Payload != w.s.self {
				w.signal()
			}
		case late && !conn.IsClosed(): // nothing came; a connection whose other end is gone looks the same
			pingCtx, cancel := context.WithTimeout(ctx, w.s.conn.ConnectTimeout)
			err := conn.Ping(pingCtx)
			cancel()
			if err != nil {
				return
			}
		default:
			return
		}
	}
}
