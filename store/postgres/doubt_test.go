package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// cutter passes connections on to a server until it is armed: then it cuts the connection that sends the n-th request
// from then on, either before the server gets it, or after the server has answered it and before the client gets that.
type cutter struct {
	to string
	l  net.Listener
	wg sync.WaitGroup

	mu    sync.Mutex
	left  int // requests until the cut, 0 when it is not armed
	late  bool
	conns []net.Conn
}

func newCutter(t *testing.T, to string) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{to: to, l: l}
	c.wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			c.wg.Go(func() { c.serve(client) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		c.mu.Lock()
		for _, conn := range c.conns {
			_ = conn.Close()
		}
		c.mu.Unlock()
		c.wg.Wait()
	})
	return c
}

// arm has the n-th request from now cut, late or early.
func (c *cutter) arm(n int, late bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left, c.late = n, late
}

// fired reports that the cut was made, and disarms.
func (c *cutter) fired() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	fired := c.left == 0
	c.left = 0
	return fired
}

// next counts a request and says what to do with it.
func (c *cutter) next() (cut, late bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left == 0 {
		return false, false
	}
	c.left--
	return c.left == 0, c.late
}

func (c *cutter) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", c.to)
	if err != nil {
		return
	}
	defer server.Close()
	c.mu.Lock()
	c.conns = append(c.conns, client, server)
	c.mu.Unlock()
	answers := make(chan []byte)
	over := make(chan struct{})
	defer close(over)
	c.wg.Go(func() {
		defer close(answers)
		for {
			b := make([]byte, 64<<10)
			n, err := server.Read(b)
			if err != nil {
				return
			}
			select {
			case answers <- b[:n]:
			case <-over:
				return
			}
		}
	})
	requests := make(chan []byte)
	c.wg.Go(func() {
		defer close(requests)
		for {
			b := make([]byte, 64<<10)
			n, err := client.Read(b)
			if err != nil {
				return
			}
			select {
			case requests <- b[:n]:
			case <-over:
				return
			}
		}
	})
	c.pass(client, server, requests, answers)
}

func (c *cutter) pass(client, server net.Conn, requests, answers <-chan []byte) {
	for {
		select {
		case b, ok := <-requests:
			cut, late := c.next()
			if !ok || cut && !late {
				return
			}
			if _, err := server.Write(b); err != nil {
				return
			}
			for cut {
				// The server has done with a request when it says that it is ready for the next one.
				b, ok := <-answers
				if !ok || len(b) >= 6 && bytes.Equal(b[len(b)-6:len(b)-1], []byte{'Z', 0, 0, 0, 5}) {
					return
				}
			}
		case b, ok := <-answers:
			if !ok {
				return
			}
			if _, err := client.Write(b); err != nil {
				return
			}
		}
	}
}

// verb is a write, what it needs, and how it is seen that it was done.
type verb struct {
	name string
	prep func(s *Store, key session.Key) error
	call func(ctx context.Context, s *Store, key session.Key) error
	done func(s *Store, key session.Key) (bool, error)
}

func verbs() []verb {
	ctx := context.Background()
	first := record(session.Position{}, "1")
	at := first.Position()
	second := record(at, "2")
	reborn := record(session.Position{Life: 1}, "3")
	stands := func(want session.Position) func(*Store, session.Key) (bool, error) {
		return func(s *Store, key session.Key) (bool, error) {
			head, records, err := s.Read(ctx, key, 0, 0)
			if err == nil && uint64(len(records)) != head.Len {
				err = fmt.Errorf("there are %d records under the head %+v", len(records), head)
			}
			return head.Position == want, err
		}
	}
	begin := func(s *Store, key session.Key) error {
		return s.Append(ctx, key, session.Position{}, first, session.Attention{})
	}
	two := func(s *Store, key session.Key) error {
		return errors.Join(begin(s, key), s.Append(ctx, key, at, second, session.Attention{}))
	}
	var generation uint64
	return []verb{
		{"first append", nil, func(ctx context.Context, s *Store, key session.Key) error {
			return s.Append(ctx, key, session.Position{}, first, session.Attention{})
		}, stands(at)},
		{"append", begin, func(ctx context.Context, s *Store, key session.Key) error {
			return s.Append(ctx, key, at, second, session.Attention{})
		}, stands(second.Position())},
		{"append after an erase", func(s *Store, key session.Key) error {
			return errors.Join(begin(s, key), s.Erase(ctx, key, at, session.Tombstone{Until: 1 << 42}))
		}, func(ctx context.Context, s *Store, key session.Key) error {
			return s.Append(ctx, key, session.Position{Life: 1}, reborn, session.Attention{})
		}, stands(reborn.Position())},
		{"erase", begin, func(ctx context.Context, s *Store, key session.Key) error {
			return s.Erase(ctx, key, at, session.Tombstone{Until: 1 << 42})
		}, stands(session.Position{Life: 1})},
		{"snapshot", begin, func(ctx context.Context, s *Store, key session.Key) error {
			return s.PutSnapshot(ctx, key, session.Snapshot{Life: 1, Seq: 1})
		}, func(s *Store, key session.Key) (bool, error) {
			_, err := s.Snapshot(ctx, key)
			return found(err)
		}},
		{"trim", func(s *Store, key session.Key) error {
			return errors.Join(two(s, key), s.PutSnapshot(ctx, key, session.Snapshot{Life: 1, Seq: 2}))
		}, func(ctx context.Context, s *Store, key session.Key) error { return s.Trim(ctx, key, 1, 1) }, func(s *Store, key session.Key) (bool, error) {
			_, _, err := s.Read(ctx, key, 0, 0)
			if errors.Is(err, session.ErrTrimmed) {
				return true, nil
			}
			return false, err
		}},
		{"blob", nil, func(ctx context.Context, s *Store, key session.Key) error {
			return s.PutBlob(ctx, key, 1, "d", []byte("blob"))
		}, func(s *Store, key session.Key) (bool, error) {
			b, err := s.Blob(ctx, key, 1, "d")
			if err == nil && string(b) != "blob" {
				err = fmt.Errorf("the blob is %q", b)
			}
			return found(err)
		}},
		{"drop of a blob", func(s *Store, key session.Key) error {
			return s.PutBlob(ctx, key, 1, "d", []byte("blob"))
		}, func(ctx context.Context, s *Store, key session.Key) error {
			all, err := s.BlobList(ctx, key, 1)
			if err != nil || len(all) != 1 {
				return fmt.Errorf("%w: %w", session.ErrNotSent, err) // the cut met the list
			}
			return s.DropBlob(ctx, key, 1, all[0])
		}, func(s *Store, key session.Key) (bool, error) {
			_, err := s.Blob(ctx, key, 1, "d")
			there, err := found(err)
			return !there, err
		}},
		{"beat", nil, func(ctx context.Context, s *Store, key session.Key) error {
			return s.Beat(ctx, session.Replica{ID: key.ID, Counter: 1})
		}, isReplica},
		{"leave", func(s *Store, key session.Key) error {
			return s.Beat(ctx, session.Replica{ID: key.ID, Counter: 1})
		}, func(ctx context.Context, s *Store, key session.Key) error {
			return s.Leave(ctx, key.ID)
		}, func(s *Store, key session.Key) (bool, error) {
			there, err := isReplica(s, key)
			return !there, err
		}},
		{"hint", nil, func(ctx context.Context, s *Store, key session.Key) error {
			return s.PutHint(ctx, session.Hint{Name: key.ID, Until: 1 << 42})
		}, func(s *Store, key session.Key) (bool, error) {
			all, err := s.Hints(ctx, key.ID)
			return len(all) == 1, err
		}},
		{"generation", func(s *Store, _ session.Key) error {
			m, err := s.Meta(ctx)
			generation = m.Generation
			return err
		}, func(ctx context.Context, s *Store, _ session.Key) error { return s.RaiseGeneration(ctx) }, func(s *Store, _ session.Key) (bool, error) {
			m, err := s.Meta(ctx)
			return m.Generation == generation+1, err
		}},
	}
}

func found(err error) (bool, error) {
	if errors.Is(err, session.ErrNoValue) {
		return false, nil
	}
	return err == nil, err
}

func isReplica(s *Store, key session.Key) (bool, error) {
	all, err := s.Replicas(context.Background())
	for _, r := range all {
		if r.ID == key.ID {
			return true, err
		}
	}
	return false, err
}

func TestWhatIsSaidOfAWriteThatLostItsConnectionIsTrue(t *testing.T) {
	p := quick(t)
	direct := open(t, p.URL(), Config{})
	c := newCutter(t, p.Address())
	for i, v := range verbs() {
		t.Run(v.name, func(t *testing.T) {
			saidRefused, saidUnknown := 0, 0
			for _, late := range []bool{false, true} {
				for n := 1; ; n++ {
					if n > 20 {
						t.Fatal("the enumeration does not end")
					}
					// A store of its own for each cut, so that each begins alike: with one connection that has looked at the schema.
					s := open(t, fmt.Sprintf("postgres://agentkernel@%s/postgres?sslmode=disable", c.l.Addr()), Config{MaxConns: 1})
					s.news.stop()
					if _, err := s.Meta(t.Context()); err != nil {
						t.Fatal(err)
					}
					key := session.Key{ID: fmt.Sprintf("v%d-%t-%d", i, late, n)}
					if v.prep != nil {
						if err := v.prep(direct, key); err != nil {
							t.Fatal(err)
						}
					}
					c.arm(n, late)
					ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
					err := v.call(ctx, s, key)
					cancel()
					fired := c.fired()
					done, lookErr := v.done(direct, key)
					if lookErr != nil {
						t.Fatal(lookErr)
					}
					what := fmt.Sprintf("cut at request %d, after the server: %t", n, late)
					switch {
					case err == nil:
						if !done {
							t.Errorf("%s: acknowledged and not there", what)
						}
					case errors.Is(err, session.ErrConflict):
						t.Errorf("%s: a conflict with nobody", what)
					case errors.Is(err, session.ErrNotSent):
						saidRefused++
						if done {
							t.Errorf("%s: said not to be written, and it is: %v", what, err)
						}
					case fault.KindOf(err) == fault.OutcomeUnknown:
						saidUnknown++
						if done != late {
							t.Errorf("%s: done %t", what, done)
						}
					default:
						t.Errorf("%s: neither refused nor unknown: %v", what, err)
					}
					if err := s.Close(); err != nil {
						t.Error(err)
					}
					if !fired {
						break
					}
				}
			}
			if saidRefused == 0 || saidUnknown != 2 {
				t.Errorf("%d cuts were told as refused and %d as unknown; want the preparation refused, and the write unknown once early and once late", saidRefused, saidUnknown)
			}
		})
	}
}
