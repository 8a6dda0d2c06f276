//go:build unix

package chaos

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// wires are the connections between handles and one server: each handle has a proxy of its own, in this process, so that
// some can be cut off while others are not.
type wires struct {
	t      *testing.T
	server *toxiproxy.ApiServer
	target string
	mu     sync.Mutex
	all    []*toxiproxy.Proxy
}

func newWires(t *testing.T, target string) *wires {
	t.Helper()
	w := &wires{t: t, target: target, server: toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())}
	t.Cleanup(func() {
		for _, p := range w.all {
			p.Stop()
		}
	})
	return w
}

// next is the address of a new handle's proxy.
func (w *wires) next() (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := toxiproxy.NewProxy(w.server, fmt.Sprint("handle-", len(w.all)), "127.0.0.1:0", w.target)
	if err := p.Start(); err != nil {
		return "", err
	}
	w.all = append(w.all, p)
	return p.Listen, nil
}

// cut is one way to hurt connections, as toxiproxy describes it.
type cut struct {
	name  string
	toxic string
}

// cuts are what partitions look like to a client. Times are in milliseconds; the one of latency is longer than a call may
// take, so that a request comes to the server when nobody waits for it any more.
var cuts = []cut{
	{"partition (answers lost)", `{"type":"timeout","stream":"downstream","attributes":{"timeout":0}}`},
	{"partition (requests lost)", `{"type":"timeout","stream":"upstream","attributes":{"timeout":0}}`},
	{"partition (requests late)", `{"type":"latency","stream":"upstream","attributes":{"latency":800}}`},
	{"partition (reset)", `{"type":"reset_peer","stream":"downstream","attributes":{"timeout":0}}`},
}

// apply hurts every second connection, or in odd rounds all of them, and returns what heals them.
func (w *wires) apply(c cut, round int) (heal func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var hurt []*toxiproxy.Proxy
	for i, p := range w.all {
		if i%2 == 0 || round%2 == 1 {
			if _, err := p.Toxics.AddToxicJson(strings.NewReader(c.toxic)); err != nil {
				w.t.Errorf("%s: %v", c.name, err)
			}
			hurt = append(hurt, p)
		}
	}
	return func() {
		for _, p := range hurt {
			p.Toxics.ResetToxics(context.Background())
		}
	}
}

// faults are all cuts.
func (w *wires) faults() (all []blow) {
	for _, c := range cuts {
		all = append(all, blow{c.name, func(round int) func() { return w.apply(c, round) }})
	}
	return all
}
