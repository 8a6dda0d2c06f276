package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/agentkernel/agentkernel/server"
)

func (a *app) agentsCommand() *cobra.Command {
	return a.withOutput(a.asClient(&cobra.Command{
		Use: "agents", Short: "List the agents of a running server", Args: a.noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
			var list server.AgentList
			raw, err := c.get(cmd.Context(), "/api/v1/agents", &list)
			if err != nil {
				return err
			}
			if a.format == asJSON {
				return printJSON(a.out, raw)
			}
			rows := make([][]string, 0, len(list.Details))
			for _, d := range list.Details {
				rows = append(rows, []string{d.Name, d.Model, strings.Join(d.Tools, ","), d.Description})
			}
			return table(a.out, "AGENT MODEL TOOLS DESCRIPTION", rows)
		},
	}))
}
