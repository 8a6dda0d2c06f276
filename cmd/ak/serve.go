package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/config"
	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/server"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/telemetry"
)

const serveLong = `serve runs the agents of a configuration file behind an HTTP API.

It ends on SIGTERM or an interrupt (Ctrl-C) without losing a turn: it is not ready at once but still serves for
execution.drain.delay, then running turns finish, or are handed over, within execution.drain.timeout. The delay is
skipped when nothing runs and there is no other replica to take new requests. A second signal stops it hard; turns that
were running then go on at the next start.

SIGHUP reads the keys of callers, keys and secrets of providers, tools and hooks, and the log level again. Everything else
needs a restart, the secrets of MCP servers among them.`

func (a *app) serveCommand() *cobra.Command {
	var host string
	var port int
	cmd := &cobra.Command{
		Use: "serve", Short: "Serve the configured agents over HTTP", Long: serveLong, Args: a.noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			flags := map[string]string{}
			if cmd.Flags().Changed("host") {
				flags["api.host"] = host
			}
			if cmd.Flags().Changed("port") {
				flags["api.port"] = strconv.Itoa(port)
			}
			a.interrupts()
			signals := make(chan os.Signal, 4)
			signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
			defer signal.Stop(signals)
			return a.serve(context.WithoutCancel(cmd.Context()), func() (*config.Config, error) { return a.load(cmd, flags) }, signals)
		},
	}
	cmd.Flags().StringVar(&host, "host", "", "host or address to listen on, over api.host")
	cmd.Flags().IntVar(&port, "port", 0, "TCP port to listen on, over api.port; 0 takes a free one")
	return cmd
}

// serve runs a server until a signal ends it. It takes the ports before it touches the store, so that a second start by
// mistake ends at once and changes nothing.
func (a *app) serve(ctx context.Context, load func() (*config.Config, error), signals <-chan os.Signal) (err error) {
	cfg, err := load()
	if err != nil {
		return err
	}
	if err := cfg.CheckServe(); err != nil {
		return err
	}
	log, level, err := newLogger(a.err, cfg.Log)
	if err != nil {
		return err
	}
	for _, w := range cfg.Warnings() {
		log.Warn(w)
	}
	limitMemory(log)
	ln, err := listen(ctx, cfg.Address(), "ak serve --port 0, or api.port")
	if err != nil {
		return err
	}
	defer func() { _ = ln.Close() }()
	admin, err := listenAdmin(ctx, cfg.Admin)
	if err != nil {
		return err
	}
	if admin != nil {
		defer func() { _ = admin.Close() }()
	}
	store, err := openStore(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := store.Close(); cerr != nil && err == nil {
			err = fault.New(fault.Unavailable, "", "the store did not close well: %w", cerr)
		}
	}()
	h := &host{cfg: cfg, load: load, log: log, level: level, admin: admin}
	return h.run(ctx, store, ln, signals, func() { announce(a.err, cfg, ln.Addr(), a.configFile) })
}

// host is what a server is made of.
type host struct {
	cfg   *config.Config
	load  func() (*config.Config, error)
	log   *slog.Logger
	level *slog.LevelVar
	admin net.Listener // nil when off
	now   *current
	gate  *gate
}

// run makes the kernel and what it needs, and serves it until a signal ends it.
func (h *host) run(ctx context.Context, store session.Store, ln net.Listener, signals <-chan os.Signal, announce func()) error {
	parts, err := makeParts(h.cfg)
	if err != nil {
		return err
	}
	h.now = newCurrent(parts)
	defer func() { h.now.parts.Load().retire() }()
	if h.gate, err = newGate(h.cfg.Auth, h.log); err != nil {
		return err
	}
	servers, err := connectMCP(ctx, h.cfg, h.log)
	if err != nil {
		return err
	}
	defer servers.close()
	k, served, err := h.start(ctx, store, servers)
	if err != nil {
		return err
	}
	defer func() { _ = k.Close() }()
	beside, stop := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	all.Go(func() { h.gate.run(beside) })
	if h.admin != nil {
		all.Go(func() { serveAdmin(beside, h.admin, k, h.log) })
	}
	announce()
	r := &running{cfg: h.cfg, kernel: k, log: h.log, hard: func() { os.Exit(fault.ExitCancelled) }}
	return r.until(ctx, ln, served, signals, h.reload)
}

// start makes the kernel and what serves it.
func (h *host) start(ctx context.Context, store session.Store, servers *mcpServers) (*agentkernel.Kernel, *server.Server, error) {
	kc, err := kernelConfig(h.cfg, h.now, servers)
	if err != nil {
		return nil, nil, err
	}
	metrics := telemetry.New(kc.Version)
	kc.Logger, kc.Observer = h.log, metrics
	k, err := agentkernel.Open(ctx, store, kc)
	if err != nil {
		return nil, nil, err
	}
	metrics.Watch(func() telemetry.Sample {
		h, peers := k.Health(), k.Replicas()
		return telemetry.Sample{
			Running: h.Running, StoreUp: h.MemoryBackend == "connected", LeaseOK: h.Leased,
			Replicas: len(peers), Configs: configsOf(peers),
		}
	})
	api := h.cfg.API
	files := api.MaxFiles
	if files == 0 {
		files = -1 // none: to the server 0 is the default
	}
	return k, server.New(k, server.Config{
		Version: kc.Version, Metrics: metrics.Handler(), Observer: metrics, Logger: h.log, Auth: h.gate.Authenticator,
		MaxBody: api.MaxBody, BodyTimeout: api.BodyTimeout, MaxStreams: api.MaxStreams,
		MaxFiles: files, MaxFileSize: api.MaxFileSize,
	}), nil
}

// running is a server that runs.
type running struct {
	cfg    *config.Config
	kernel *agentkernel.Kernel
	log    *slog.Logger
	hard   func() // ends the process at once
}

// until serves until a signal says to end, and then ends in order: turns first, then requests.
func (r *running) until(ctx context.Context, ln net.Listener, s *server.Server, signals <-chan os.Signal, hup func()) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, ln) }()
	for {
		select {
		case err := <-ended:
			return fault.New(fault.Internal, "", "the server stopped by itself: %w", err)
		case sig := <-signals:
			if sig == syscall.SIGHUP {
				hup()
				continue
			}
			go r.stopHard(ctx, signals)
			r.drain(ctx, sig)
			stop()
			if err := <-ended; err != nil {
				return fault.New(fault.Internal, "", "the server did not stop well: %w", err)
			}
			r.log.Info("stopped")
			return nil
		}
	}
}

// stopHard ends the process at the second signal.
func (r *running) stopHard(ctx context.Context, signals <-chan os.Signal) {
	for {
		select {
		case sig := <-signals:
			if sig != syscall.SIGHUP {
				r.log.Warn("stopped hard by a second signal; turns that were running go on at another replica or the next start")
				r.hard()
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// drain lets running turns finish or hands them over. The delay is for load balancers, which go on sending requests for
// a while; where nothing runs and no other replica could take what comes, there is nothing to wait for.
func (r *running) drain(ctx context.Context, sig os.Signal) {
	d := r.cfg.Execution.Drain
	if r.kernel.Health().Running == 0 && len(r.kernel.Replicas()) == 1 {
		d.Delay = 0
	}
	r.log.Info("draining", "signal", sig.String(), "running", r.kernel.Health().Running, "delay", d.Delay.String(), "timeout", d.Timeout.String())
	began := time.Now()
	if err := r.kernel.Drain(ctx, d.Delay, d.Timeout); err != nil {
		r.log.Warn("this replica is still registered; the others notice when its lease ends", "error", err)
	}
	r.log.Info("drained", "took", time.Since(began).Round(time.Millisecond).String())
}

// announce says where the server is and what to do with it.
func announce(w io.Writer, cfg *config.Config, addr net.Addr, file string) {
	base := baseURL(addr)
	first := cfg.Agents[0]
	_, _ = fmt.Fprintf(w, "\nAgent Kernel %s serves %d agent(s) at %s (sessions in %s)\n", readBuild().Version, len(cfg.Agents), base, storePlace(cfg))
	_, _ = fmt.Fprintf(w, "\n  curl -s %s/api/v1/chat -H 'Content-Type: application/json' -d '{\"prompt\": \"What is the weather in Lisbon?\"}'\n", base)
	if id, _ := first.ProviderAndModel(); cfg.Providers[id].Type == config.Scripted {
		if file == "" {
			file = cfg.File()
		}
		_, _ = fmt.Fprintf(w, "\nAgent %s answers from a script, without a provider. For a real model set OPENAI_API_KEY, and in %s\nchange its line to\n\n  model: openai/gpt-5-mini\n\nOPENAI_BASE_URL names any other server that speaks the same language.\n", first.Name, file)
	}
	_, _ = fmt.Fprintln(w)
}

// baseURL is where a client on this machine finds a listener.
func baseURL(addr net.Addr) string {
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return "http://" + addr.String()
	}
	return "http://" + net.JoinHostPort(reachable(host), port)
}

// reachable is a host to connect to, for a host to listen on.
func reachable(host string) string {
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		return "127.0.0.1"
	}
	return host
}
