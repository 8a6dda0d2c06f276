package agentkernel

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// An agent may be declared to answer without its store rather than not at all. While the store is known not to answer, such
// a request becomes a turn of a second kernel in this process, over a scratch store in memory. It sees no history, has the
// read-only tools only, and is forgotten soon; its reply says so in Degraded. Its id can be told from others, so that nobody
// ever takes it for a turn that the store lost.

// OnStoreOutage says what becomes of a request while the store does not answer.
type OnStoreOutage string

const (
	RefuseRequest OnStoreOutage = "refuse"    // it is refused and nothing is lost; the default
	Stateless     OnStoreOutage = "stateless" // it is answered without history and without tools that change anything, and not kept
)

const (
	statelessPrefix = "stateless_" // of session ids
	statelessTTL    = 10 * time.Minute
)

// scratchConfig is the configuration of the second kernel, and whether there is to be one.
func (c *Config) scratchConfig() (Config, bool) {
	wanted := false
	own := *c
	own.Agents = make([]*Agent, len(c.Agents))
	for i, a := range c.Agents {
		wanted = wanted || a.OnStoreOutage == Stateless
		b := *a
		b.Tools, b.OnStoreOutage = nil, RefuseRequest
		for _, t := range a.Tools {
			if t.Effect == session.ReadOnly {
				b.Tools = append(b.Tools, t)
			}
		}
		b.Hooks = append(append([]Hook(nil), a.Hooks...), Hook{Name: "stateless", After: confess})
		own.Agents[i] = &b
	}
	own.SessionTTL, own.IdempotencyTTL, own.WaitMax = statelessTTL, statelessTTL, time.Minute
	own.AcceptLoss, own.Scratch, own.Failpoints = true, nil, nil
	return own, wanted
}

// confess makes a reply say that it was given without the store.
func confess(_ context.Context, _ *Turn, reply Reply) (Reply, error) {
	reply.Degraded = append(reply.Degraded, session.Degraded{
		What: "session", Why: "the session store does not answer: this was answered without the conversation's history and is not kept",
	})
	return reply, nil
}

// openScratch opens the second kernel, if an agent wants one.
func (k *Kernel) openScratch(ctx context.Context, cfg Config) (err error) {
	own, wanted := cfg.scratchConfig()
	if !wanted {
		return nil
	}
	if cfg.Scratch == nil {
		return fault.New(fault.Config, "agentkernel.Open", "an agent answers without the store, and Config.Scratch is not set").
			WithTry("Scratch: memory.New()")
	}
	k.scratch, err = Open(ctx, cfg.Scratch, own)
	return err
}

// startStateless answers a request without the store.
func (k *Kernel) startStateless(ctx context.Context, req Request) (*Handle, error) {
	shown := req.Session
	req.Session = newID(strings.TrimSuffix(statelessPrefix, "_"))
	if req.Key != "" { // the same key is the same turn, for as long as it is remembered here
		sum := sha256.Sum256([]byte(req.Tenant + "\x00" + shown + "\x00" + req.Key))
		req.Session = statelessPrefix + hex.EncodeToString(sum[:10])
	}
	h, err := k.scratch.Start(ctx, req)
	if h != nil {
		h.shown = shown
	}
	return h, err
}

// isStateless reports whether a session's id is one that a stateless turn was given. No kept session has one: who goes on
// with such a conversation begins a new one.
func isStateless(id string) bool {
	rest, ok := strings.CutPrefix(id, statelessPrefix)
	raw, err := hex.DecodeString(rest)
	return ok && err == nil && len(raw) == 10
}

// keeper is the kernel that knows a session: the second one for stateless turns of this replica.
func (k *Kernel) keeper(id string) *Kernel {
	if k.scratch != nil && isStateless(id) {
		return k.scratch
	}
	return k
}

// Stateless reports that the turn is answered without the store: it has no history, is not kept, and is known to this
// replica only.
func (h *Handle) Stateless() bool { return isStateless(h.key.ID) }
