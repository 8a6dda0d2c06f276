package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/config"
	"github.com/agentkernel/agentkernel/server"
)

// listenAdmin opens the port for profiles and debugging; nil when it is off.
func listenAdmin(ctx context.Context, cfg config.Admin) (net.Listener, error) {
	if cfg.Port == 0 {
		return nil, nil
	}
	ln, err := listen(ctx, net.JoinHostPort(cfg.Host, strconv.Itoa(cfg.Port)), "admin.port")
	if err != nil {
		return nil, err
	}
	if err := server.CheckLoopback(ln); err != nil {
		_ = ln.Close()
		return nil, err
	}
	return ln, nil
}

// serveAdmin serves profiles and debugging until ctx ends. Its end is nobody's concern.
func serveAdmin(ctx context.Context, ln net.Listener, k *agentkernel.Kernel, log *slog.Logger) {
	srv := &http.Server{Handler: server.Admin(k), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	defer context.AfterFunc(ctx, func() { _ = srv.Close() })()
	log.Info("profiles and debugging", "address", ln.Addr().String())
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		log.Error("the admin listener stopped", "error", err)
	}
}
