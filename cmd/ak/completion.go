package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/agentkernel/agentkernel/server"
)

const completionLong = `completion writes a script that lets a shell complete commands, flags, and, when a server answers at once, the names of
its agents and the ids of its sessions and turns.

  bash        source <(ak completion bash)
  zsh         ak completion zsh > "${fpath[1]}/_ak"
  fish        ak completion fish > ~/.config/fish/completions/ak.fish
  powershell  ak completion powershell | Out-String | Invoke-Expression`

func (a *app) completionCommand() *cobra.Command {
	write := map[string]func(root *cobra.Command) error{
		"bash":       func(root *cobra.Command) error { return root.GenBashCompletionV2(a.out, true) },
		"zsh":        func(root *cobra.Command) error { return root.GenZshCompletion(a.out) },
		"fish":       func(root *cobra.Command) error { return root.GenFishCompletion(a.out, true) },
		"powershell": func(root *cobra.Command) error { return root.GenPowerShellCompletionWithDesc(a.out) },
	}
	return &cobra.Command{
		Use: "completion SHELL", Short: "Write a completion script for a shell", Long: completionLong,
		Args: exactly("SHELL"), ValidArgs: []string{"bash", "zsh", "fish", "powershell"}, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			f, ok := write[args[0]]
			if !ok {
				return usage(cmd, "there is no completion for %q; there is bash, zsh, fish and powershell", args[0])
			}
			return f(cmd.Root())
		},
	}
}

// lookup asks a server for what could stand at the cursor.
type lookup func(ctx context.Context, c *client) ([]cobra.Completion, error)

// completionTime bounds what a press of the tab key may cost.
const completionTime = time.Second

// completing is the completion of arguments by what a server knows. Without one, or a slow one, there is nothing.
func (a *app) completing(find lookup) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 && !strings.HasSuffix(cmd.Use, "...") {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return a.found(cmd, find)
	}
}

// complete makes a flag complete by what a server knows.
func (a *app) complete(cmd *cobra.Command, flag string, find lookup) {
	err := cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return a.found(cmd, find)
	})
	if err != nil {
		panic(err) // there is no such flag: a mistake in this package, met by every test
	}
}

func (a *app) found(cmd *cobra.Command, find lookup) ([]cobra.Completion, cobra.ShellCompDirective) {
	ctx, stop := context.WithTimeout(context.Background(), completionTime)
	defer stop()
	c, err := a.client(cmd)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	all, err := find(ctx, c)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return all, cobra.ShellCompDirectiveNoFileComp
}

func completeAgents(ctx context.Context, c *client) (all []cobra.Completion, err error) {
	var list server.AgentList
	if _, err = c.get(ctx, "/api/v1/agents", &list); err != nil {
		return nil, err
	}
	for _, d := range list.Details {
		all = append(all, cobra.CompletionWithDesc(d.Name, printable(d.Description)))
	}
	return all, nil
}

func completeSessions(ctx context.Context, c *client) (all []cobra.Completion, err error) {
	var list server.SessionList
	if _, err = c.get(ctx, "/api/v1/sessions?limit=100", &list); err != nil {
		return nil, err
	}
	for _, s := range list.Sessions {
		all = append(all, cobra.CompletionWithDesc(printable(s.ID), s.State))
	}
	return all, nil
}

func completeTurns(ctx context.Context, c *client) (all []cobra.Completion, err error) {
	var list server.TurnList
	if _, err = c.get(ctx, "/api/v1/turns?limit=100", &list); err != nil {
		return nil, err
	}
	for _, t := range list.Turns {
		all = append(all, cobra.CompletionWithDesc(printable(t.ID), stateOf(t)))
	}
	return all, nil
}
