package main

import (
	"context"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/agentkernel/agentkernel/config"
	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/server"
)

func (d *doctor) checkConfig() {
	const check = "configuration"
	for _, w := range d.cfg.Warnings() {
		d.warn(check, "", "%s", w)
	}
	if err := d.cfg.CheckServe(); err != nil {
		d.failed(check, err)
		return
	}
	parts, err := makeParts(d.cfg)
	if err != nil {
		d.failed(check, err)
		return
	}
	parts.retire()
	file := d.cfg.File()
	if file == "" {
		file = "no file; defaults and variables"
	}
	d.ok(check, "%s: %d agent(s), %d tool(s)", file, len(d.cfg.Agents), len(d.cfg.Tools))
}

// checkProviders says which providers are used and whether they have a key. A key that is missing and needed was told
// with the configuration.
func (d *doctor) checkProviders() {
	for _, id := range d.used() {
		p, ok := d.cfg.Providers[id]
		switch {
		case !ok || p.APIKey.IsZero() && slices.Contains([]string{config.OpenAI, config.Anthropic, config.Gemini}, p.Type):
		case p.Type == config.Scripted:
			d.ok("providers", "%s answers from a script", id)
		case p.APIKey.IsZero():
			d.ok("providers", "%s (%s) is used without a key", id, p.Type)
		default:
			d.ok("providers", "%s (%s) has a key", id, p.Type)
		}
	}
}

// used are the ids of the providers that agents use, in the order of the agents.
func (d *doctor) used() (ids []string) {
	seen := map[string]bool{}
	for _, a := range d.cfg.Agents {
		if id, _ := a.ProviderAndModel(); !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	return ids
}

// checkTools looks for tools that must not act twice over a store that may forget that they did.
func (d *doctor) checkTools(ctx context.Context) {
	const check = "tools"
	var once []string
	for _, t := range d.cfg.Tools {
		if t.MCP != nil && len(t.MCP.Command) > 0 {
			if _, err := exec.LookPath(t.MCP.Command[0]); err != nil {
				d.fail(check, "install it, or tools."+t.Name+".mcp.command", "the program of MCP server %s is not here: %v", t.Name, err)
			}
		}
		if t.Effect == config.AtMostOnce {
			once = append(once, t.Name)
		}
	}
	names := strings.Join(once, ", ")
	switch {
	case len(once) == 0:
		d.ok(check, "none must never act twice")
	case d.keeps(ctx):
		d.ok(check, "at most once: %s", names)
	case d.cfg.Session.AcceptLoss:
		d.warn(check, safer(d.cfg), "%s may act twice: %s forget that they did, and session.accept_loss allows it", names, forgetting(d.cfg))
	default:
		d.fail(check, safer(d.cfg)+", or an effect that may be repeated", "%s must never act twice, and %s forget that they did", names, forgetting(d.cfg))
	}
}

// keeps reports whether the store, as it is configured, outlives what is sure to happen. A store that cannot be opened is
// told with the store.
func (d *doctor) keeps(ctx context.Context) bool {
	if d.cfg.Session.Type == config.SQLite {
		return true // and must not be made by looking at it
	}
	store, err := d.open(ctx)
	if err != nil {
		return true
	}
	defer func() { _ = store.Close() }()
	return store.Durability().KeepsAcknowledged()
}

func forgetting(cfg *config.Config) string {
	if cfg.Session.Type == config.InMemory {
		return "the store in memory would"
	}
	return "the " + cfg.Session.Type + " store, as it is set up, could"
}

// safer is a setting with which the store forgets nothing.
func safer(cfg *config.Config) string {
	switch cfg.Session.Type {
	case config.Redis:
		return "session.type: postgres or dynamodb"
	case config.Postgres:
		return "session.postgres.standby: sync, with synchronous_standby_names set at the server"
	}
	return "session.type: sqlite"
}

// metadata is the address at which clouds give their credentials to whoever asks from inside.
var metadata = netip.MustParseAddr("169.254.169.254")

func (d *doctor) checkEgress() {
	const check = "egress"
	for _, entry := range d.cfg.Egress.Allow {
		net, err := netip.ParsePrefix(entry)
		switch {
		case err != nil:
		case net.Bits() == 0:
			d.warn(check, "name the hosts that tools need", "egress.allow %s lets tools reach everything", entry)
		case net.Contains(metadata):
			d.warn(check, "name the hosts that tools need", "egress.allow %s lets tools reach the cloud's credentials at %s", entry, metadata)
		}
	}
	if all := d.cfg.EgressAllow(); len(all) > 0 {
		d.ok(check, "tools may reach %s", strings.Join(all, ", "))
		return
	}
	d.ok(check, "tools may reach nothing")
}

func (d *doctor) checkAccess() {
	host := d.cfg.API.Host
	ip := net.ParseIP(host)
	if d.cfg.Auth.Mode == "none" && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		d.warn("access", "auth.mode, or a proxy in front that asks who calls", "everyone who reaches %s may do everything", d.cfg.Address())
		return
	}
	d.ok("access", "%s, auth.mode %s", d.cfg.Address(), d.cfg.Auth.Mode)
}

// Open files that a server needs besides those of its turns, and least memory that makes sense.
const (
	baseFiles   = 256
	leastMemory = 128 << 20 // bytes
)

func (d *doctor) checkLimits() {
	const check = "limits"
	need := uint64(2*d.cfg.Execution.MaxRunningTurns + baseFiles)
	switch have, err := openFiles(); {
	case err != nil:
		d.warn(check, "", "how many files may be open cannot be found out: %v", err)
	case have < need:
		d.warn(check, "ulimit -n, LimitNOFILE= or nofile in the container's options", "%d open files are allowed, and %d running turns may need %d", have, d.cfg.Execution.MaxRunningTurns, need)
	default:
		d.ok(check, "%d open files are allowed", have)
	}
	d.checkMemory(cgroupMemory(os.DirFS("/")))
}

// checkMemory compares the container's limit, if there is one, with Go's.
func (d *doctor) checkMemory(limit int64, limited bool) {
	const check, mib = "memory", 1 << 20
	own := os.Getenv(envMemoryLimit)
	goLimit := debug.SetMemoryLimit(-1)
	switch {
	case !limited:
		d.ok(check, "the container sets no limit")
	case limit < leastMemory:
		d.warn(check, "a limit of at least 256 MiB", "the container's limit is %d MiB", limit/mib)
	case own == "":
		d.ok(check, "the container's limit is %d MiB; ak serve collects garbage from %d MiB on", limit/mib, int64(float64(limit)*memoryShare)/mib)
	case goLimit > limit/100*95:
		d.warn(check, "leave "+envMemoryLimit+" out: ak serve sets it", "%s is %s, and the container's limit is %d MiB: it would be killed before it collects", envMemoryLimit, own, limit/mib)
	default:
		d.ok(check, "the container's limit is %d MiB, %s is %s", limit/mib, envMemoryLimit, own)
	}
}

func (d *doctor) checkPort(ctx context.Context) {
	const check = "port"
	ln, err := listen(ctx, d.cfg.Address(), "api.port, or end what listens there")
	if err == nil {
		_ = ln.Close()
		d.ok(check, "%s is free", d.cfg.Address())
		return
	}
	ctx, stop := context.WithTimeout(ctx, 2*time.Second)
	defer stop()
	c := &client{base: clientBase(d.cfg), http: newHTTP()}
	var h server.HealthReply
	if _, herr := c.get(ctx, "/health", &h); herr == nil && h.Status != "" {
		d.ok(check, "a server runs at %s, and is %s", d.cfg.Address(), printable(h.Status))
		return
	}
	d.fail(check, fault.Try(err), "%s", text(err))
}
