//go:build unix

package chaos

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/rpc"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/internal/servers"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/store/sqlite"
)

// A file has no server that could be killed: it is the processes that hold it. So each of some child processes opens the
// file and does for a client what it asks through a socket; to the client the child is the store.

// storeRole makes this binary a process that holds a SQLite file: the value is its path and that of the socket.
const (
	storeRole    = "store"
	storeFile    = "CHAOS_STORE_FILE"
	storeSocket  = "CHAOS_STORE_SOCKET"
	storeHolders = 3 // processes that share the file
)

func init() {
	if os.Getenv(roleVariable) == storeRole {
		fmt.Fprintln(os.Stderr, holdStore(os.Getenv(storeFile), os.Getenv(storeSocket)))
		os.Exit(1)
	}
}

func holdStore(file, socket string) error {
	s, err := sqlite.Open(context.Background(), file, sqlite.Config{})
	if err != nil {
		return err
	}
	server := rpc.NewServer()
	if err := server.Register(&Holder{s}); err != nil {
		return err
	}
	_ = os.Remove(socket) // of the process before this one, which was killed
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	server.Accept(l)
	return errors.New("the socket was closed")
}

// Holder answers the calls of histories. It is exported for net/rpc.
type Holder struct{ s session.Store }

// Asked is a call.
type Asked struct {
	Keys  []session.Key
	At    session.Position
	Rec   session.Record
	Next  session.Attention
	After uint64
	Limit int
}

// Answered is what came of it.
type Answered struct {
	Heads   []session.Head
	Records []session.Record
	Verdict string // empty, conflict, not sent, unknown
	Text    string
}

func (a *Answered) settle(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, session.ErrConflict):
		a.Verdict = "conflict"
	case errors.Is(err, session.ErrNotSent):
		a.Verdict = "not sent"
	default:
		a.Verdict = "unknown"
	}
	a.Text = err.Error()
	return nil
}

// Append is session.Journal's.
func (h *Holder) Append(in Asked, out *Answered) error {
	return out.settle(h.s.Append(context.Background(), in.Keys[0], in.At, in.Rec, in.Next))
}

// Read is session.Journal's.
func (h *Holder) Read(in Asked, out *Answered) error {
	head, records, err := h.s.Read(context.Background(), in.Keys[0], in.After, in.Limit)
	out.Heads, out.Records = []session.Head{head}, records
	return out.settle(err)
}

// Heads is session.Journal's.
func (h *Holder) Heads(in Asked, out *Answered) (err error) {
	out.Heads, err = h.s.Heads(context.Background(), in.Keys)
	return out.settle(err)
}

// held is a handle on a store that another process holds. It has what histories need and panics at the rest.
type held struct {
	session.Store
	socket string
	mu     sync.Mutex
	link   *rpc.Client
}

// ask has the other process do something, and gives up when ctx ends: the other process does not.
func (h *held) ask(ctx context.Context, method string, in Asked) (out Answered, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.link == nil {
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", h.socket)
		if err != nil {
			return out, fault.New(fault.Unavailable, method, "no process (%v): %w", err, session.ErrNotSent)
		}
		h.link = rpc.NewClient(conn)
	}
	call := h.link.Go("Holder."+method, in, new(Answered), make(chan *rpc.Call, 1))
	select {
	case <-call.Done:
		err = call.Error
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		_ = h.link.Close()
		h.link = nil
		return out, fault.New(fault.OutcomeUnknown, method, "no answer: %w", err)
	}
	out = *call.Reply.(*Answered)
	switch out.Verdict {
	case "conflict":
		err = session.ErrConflict
	case "not sent":
		err = fault.New(fault.Unavailable, method, "%w: %s", session.ErrNotSent, out.Text)
	case "unknown":
		err = fault.New(fault.OutcomeUnknown, method, "%s", out.Text)
	}
	return out, err
}

func (h *held) Append(ctx context.Context, key session.Key, at session.Position, rec session.Record, next session.Attention) error {
	_, err := h.ask(ctx, "Append", Asked{Keys: []session.Key{key}, At: at, Rec: rec, Next: next})
	return err
}

func (h *held) Read(ctx context.Context, key session.Key, after uint64, limit int) (session.Head, []session.Record, error) {
	out, err := h.ask(ctx, "Read", Asked{Keys: []session.Key{key}, After: after, Limit: limit})
	if err != nil {
		return session.Head{}, nil, err
	}
	return out.Heads[0], out.Records, nil
}

func (h *held) Heads(ctx context.Context, keys []session.Key) ([]session.Head, error) {
	out, err := h.ask(ctx, "Heads", Asked{Keys: keys})
	return out.Heads, err
}

func (h *held) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.link != nil {
		_ = h.link.Close()
		h.link = nil
	}
	return nil
}

// holders are the processes that share one file.
type holders struct {
	t       *testing.T
	dir     string
	all     [storeHolders]*servers.Process
	mu      sync.Mutex
	handles int
}

func startHolders(t *testing.T) *holders {
	t.Helper()
	dir, err := os.MkdirTemp("", "ak-held") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	h := &holders{t: t, dir: dir}
	for i := range h.all {
		h.start(i)
	}
	return h
}

func (h *holders) socket(i int) string { return filepath.Join(h.dir, fmt.Sprintf("%d.sock", i)) }

func (h *holders) start(i int) {
	exe, err := os.Executable()
	if err != nil {
		h.t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), roleVariable+"="+storeRole, storeFile+"="+filepath.Join(h.dir, "ak.db"), storeSocket+"="+h.socket(i))
	h.all[i] = servers.Run(h.t, cmd, func(ctx context.Context) error {
		c, err := (&net.Dialer{}).DialContext(ctx, "unix", h.socket(i))
		if err == nil {
			_ = c.Close()
		}
		return err
	})
}

// open is a handle on one of the processes, by turns.
func (h *holders) open(context.Context) (session.Store, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.handles++
	return &held{socket: h.socket(h.handles % storeHolders)}, nil
}

// each does something to all processes, or in odd rounds to the first only.
func (h *holders) each(round int, do func(i int)) {
	for i := range h.all {
		if round%2 == 0 || i == 0 {
			do(i)
		}
	}
}

func TestHistoriesOnSQLiteUnderKillAndPauseHaveAnOrder(t *testing.T) {
	t.Parallel()
	table := newTable(t)
	h := startHolders(t)
	victim{
		store: "sqlite", by: "kill -9 of the processes that hold the file", rounds: 4, open: h.open,
		faults: one("kill", func(round int) func() {
			h.each(round, func(i int) { h.all[i].Kill() })
			return func() { h.each(round, h.start) }
		}),
	}.endure(t, table)
	h = startHolders(t)
	victim{
		store: "sqlite", by: "SIGSTOP of the processes that hold the file", rounds: 4, open: h.open,
		faults: one("pause", func(round int) func() {
			h.each(round, func(i int) { h.all[i].Freeze() })
			return func() { h.each(round, func(i int) { h.all[i].Thaw() }) }
		}),
	}.endure(t, table)
}
