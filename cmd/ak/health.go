package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/server"
)

func (a *app) healthCommand() *cobra.Command {
	return a.withOutput(a.asClient(&cobra.Command{
		Use: "health", Short: "Ask a server how it is",
		Long: "health asks a server how it is. It exits with 0 when it is healthy or degraded (it serves, but something that it needs\ndoes not), and with 5 when it cannot serve or does not answer.",
		Args: a.noArgs,
		RunE: a.health,
	}))
}

func (a *app) health(cmd *cobra.Command, _ []string) error {
	c, err := a.client(cmd)
	if err != nil {
		return err
	}
	c.http.Timeout = 10 * time.Second
	req, err := c.request(cmd.Context(), http.MethodGet, "/health?verbose", nil)
	if err != nil {
		return err
	}
	res, err := c.http.Do(req)
	if err != nil {
		if e := c.broken(cmd.Context(), err); fault.KindOf(e) != fault.OutcomeUnknown {
			return e
		}
		return fault.New(fault.Unavailable, "", "%s does not answer: %w", c.at(), cause(err)).WithTry("ak serve, or --url if it runs elsewhere")
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxReply))
	var h server.HealthReply
	if err != nil || json.Unmarshal(raw, &h) != nil || h.Status == "" {
		return fault.New(fault.Unavailable, "", "%s answered %d, and not as a server of this kind does", c.at(), res.StatusCode).WithTry("check --url")
	}
	if err := a.showHealth(raw, h); err != nil {
		return err
	}
	if h.Status == "unhealthy" {
		return &exitError{fault.ExitUnavailable}
	}
	return nil
}

func (a *app) showHealth(raw []byte, h server.HealthReply) error {
	if a.format == asJSON {
		return printJSON(a.out, raw)
	}
	line := fmt.Sprintf("%s  runtime %s, memory backend %s", h.Status, h.Runtime, h.MemoryBackend)
	if d := h.HealthDetail; d != nil {
		line += fmt.Sprintf(", %d turn(s) running", d.Running)
		if d.StoreErr != "" {
			line += "\nstore: " + d.StoreErr
		}
	}
	_, err := fmt.Fprintln(a.out, safe(line))
	return err
}
