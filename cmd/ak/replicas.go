package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/server"
)

const replicasLong = `replicas lists the live replicas of a server's store as that server sees them, itself first. CONFIG is the beginning of
the digest of a replica's configuration, without secrets, addresses and zone; where it is not that of the first one,
"drift" stands behind it: a rollout is under way, or somebody forgot that replica.`

func (a *app) replicasCommand() *cobra.Command {
	return a.withOutput(a.asClient(&cobra.Command{
		Use: "replicas", Short: "List the replicas that share a server's store", Long: replicasLong, Args: a.noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
			var list server.ReplicaList
			raw, err := c.get(cmd.Context(), "/api/v1/replicas", &list)
			if err != nil {
				return err
			}
			if a.format == asJSON {
				return printJSON(a.out, raw)
			}
			return a.showReplicas(list.Replicas)
		},
	}))
}

func (a *app) showReplicas(list []agentkernel.ReplicaInfo) error {
	rows := make([][]string, 0, len(list))
	for _, r := range list {
		digest := cut(r.Digest, 13)
		if r.Digest != list[0].Digest {
			digest += " drift"
		}
		state := "serving"
		if r.Draining {
			state = "draining"
		}
		rows = append(rows, []string{r.ID, r.Zone, r.Version, state, digest})
	}
	if err := table(a.out, "REPLICA ZONE VERSION STATE CONFIG", rows); err != nil {
		return err
	}
	if n := configsOf(list); n > 1 {
		_, _ = fmt.Fprintf(a.err, "%d configurations are in use: ak config print --sources beside each replica shows where they differ\n", n)
	}
	return nil
}

// configsOf counts the different configurations of replicas.
func configsOf(list []agentkernel.ReplicaInfo) int {
	seen := map[string]bool{}
	for _, r := range list {
		seen[r.Digest] = true
	}
	return len(seen)
}
