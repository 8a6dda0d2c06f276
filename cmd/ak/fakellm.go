package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model/modeltest"
)

const fakellmLong = `fakellm is a server that speaks the languages of several providers and answers from a script, for tests without a
provider. It listens on this machine only. The script is a JSON file that says what is answered ("replies") and what
goes wrong ("steps"); without one it answers from the built-in script. The path tells the languages apart:

  /v1/chat/completions                            OpenAI
  /v1/messages                                    Anthropic
  /v1beta/models/{model}:streamGenerateContent    Gemini
  /model/{model}/converse-stream                  Amazon Bedrock

Use it as a provider:

  providers:
    fake: {type: openai_compatible, base_url: "http://127.0.0.1:9100/v1"}`

func (a *app) fakellmCommand() *cobra.Command {
	var script, address string
	var models []string
	cmd := &cobra.Command{
		Use: "fakellm", Short: "Serve a scripted model over the wire, for tests", Long: fakellmLong, Args: a.noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return a.fakellm(ctx, cmd, script, address, models)
		},
	}
	cmd.Flags().StringVar(&script, "script", "", "JSON `file` that says what is answered and what goes wrong")
	cmd.Flags().StringVar(&address, "addr", "127.0.0.1:9100", "loopback `address` to listen on; port 0 takes a free one")
	cmd.Flags().StringSliceVar(&models, "models", nil, "`names` of the models it has (default: every name)")
	return cmd
}

func (a *app) fakellm(ctx context.Context, cmd *cobra.Command, script, address string, models []string) error {
	cfg := modeltest.ServerConfig{Models: models}
	if script != "" {
		data, err := os.ReadFile(script)
		if err != nil {
			return fault.New(fault.NotFound, "", "the script cannot be read: %w", err).WithTry("name a file that exists")
		}
		parsed, err := modeltest.ParseScript(data)
		if err != nil {
			return fault.New(fault.Config, "", "%s: %s", script, text(err))
		}
		cfg.Script = *parsed
	}
	host, _, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err != nil || host != "localhost" && !ip.IsLoopback() {
		return usage(cmd, "--addr %q is no loopback address with a port", address)
	}
	fake, err := modeltest.NewServer(cfg)
	if err != nil {
		return err
	}
	ln, err := listen(ctx, address, "--addr 127.0.0.1:0 takes a free port")
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: fake, ReadHeaderTimeout: 10 * time.Second}
	stopped := context.AfterFunc(ctx, func() {
		fake.Close()
		_ = srv.Close()
	})
	defer stopped()
	_, _ = fmt.Fprintf(a.err, "A scripted model answers at http://%s/v1\n", ln.Addr())
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return fault.New(fault.Internal, "", "%w", err)
	}
	return nil
}

// listen opens a TCP port, or says who is in the way.
func listen(ctx context.Context, address, try string) (net.Listener, error) {
	var l net.ListenConfig
	ln, err := l.Listen(ctx, "tcp", address)
	switch {
	case err == nil:
		return ln, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fault.New(fault.Unavailable, "", "%s is in use by another process", address).WithTry("stop that process, or take another port: %s", try)
	case errors.Is(err, syscall.EACCES):
		return nil, fault.New(fault.Config, "", "this user may not listen on %s", address).WithTry("take a port above 1023: %s", try)
	}
	return nil, fault.New(fault.Config, "", "%s cannot be listened on: %w", address, err).WithTry("%s", try)
}
