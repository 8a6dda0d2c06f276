package main

import (
	"fmt"
	"io"
	"sort"
	"strings"

	"github.com/spf13/cobra"

	"github.com/agentkernel/agentkernel/config"
	"github.com/agentkernel/agentkernel/fault"
)

// app is what all subcommands share.
type app struct {
	in         io.Reader
	out, err   io.Writer
	interrupts func() // gives interrupts back to whoever wants them

	configFile string
	set        []string
	url        string
	apiKey     string
	format     string
}

const rootLong = `ak serves AI agents that stay available and correct: no accepted turn is lost, and nothing is done twice.

Start a server, and talk to it from another terminal:

  ak serve --config config.yaml
  ak chat "What is the weather in Lisbon?"`

func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use: "ak", Short: "Serve AI agents", Long: rootLong,
		SilenceErrors: true, SilenceUsage: true, DisableAutoGenTag: true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		Args:              a.noArgs,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usage(cmd, "%v", err) })
	flags := root.PersistentFlags()
	flags.StringVar(&a.configFile, "config", "", "configuration `file` (default config.yaml, or $"+config.EnvFile+")")
	flags.StringArrayVar(&a.set, "set", nil, "set a configuration value, as in api.port=9000; may be repeated (`key=value`)")
	root.AddCommand(
		a.serveCommand(), a.chatCommand(), a.agentsCommand(), a.sessionsCommand(), a.turnsCommand(), a.healthCommand(),
		a.replicasCommand(), a.storeCommand(),
		a.configCommand(), a.authCommand(), a.doctorCommand(), a.verifyCommand(), a.versionCommand(), a.fakellmCommand(),
		a.completionCommand(), a.manCommand(), exitCodes(),
	)
	root.SetHelpCommand(helpCommand())
	return root
}

// helpCommand differs from the library's in that asking for what is not there is an error.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use: "help [command or topic]", Short: "Help about a command or topic",
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return fault.New(fault.BadRequest, "", "there is no help about %q", strings.Join(args, " ")).WithTry("ak help")
			}
			return found.Help()
		},
	}
}

// usage is an error of whoever typed the command.
func usage(cmd *cobra.Command, format string, args ...any) *fault.Error {
	return fault.New(fault.BadRequest, "", format, args...).WithTry("%s --help", cmd.CommandPath())
}

// noArgs refuses arguments: on a group, they are a misspelt subcommand.
func (a *app) noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if !cmd.HasSubCommands() {
		return usage(cmd, "%s takes no arguments, and got %q", cmd.CommandPath(), args[0])
	}
	err := fault.New(fault.BadRequest, "", "%s has no command %q", cmd.CommandPath(), args[0])
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return err.WithTry("%s %s", cmd.CommandPath(), near[0])
	}
	return err.WithTry("%s --help", cmd.CommandPath())
}

// exactly refuses another number of arguments than the names.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usage(cmd, "%s needs a %s", cmd.CommandPath(), names[len(args)])
		case len(args) > len(names):
			return usage(cmd, "%s takes %d argument(s), and got %q on top", cmd.CommandPath(), len(names), args[len(names)])
		}
		return nil
	}
}

// group is a command that only has subcommands.
func (a *app) group(use, short string, subs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use: use, Short: short, Args: a.noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(subs...)
	return c
}

// load reads the configuration from all its sources.
func (a *app) load(cmd *cobra.Command, more map[string]string) (*config.Config, error) {
	flags := map[string]string{}
	for _, pair := range a.set {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key == "" {
			return nil, usage(cmd, "--set %q is not key=value", pair)
		}
		flags[key] = value
	}
	for key, value := range more {
		flags[key] = value
	}
	return config.Load(config.Options{Path: a.configFile, Flags: flags, KnownEnv: []string{envAPIKey, "AK_FAILPOINT"}})
}

// exitCodes is a help topic: a command that cannot be run.
func exitCodes() *cobra.Command {
	rows := map[int]string{
		0:                     "everything went well",
		fault.ExitFailed:      "it failed: the turn failed, the check found something, or there is a bug",
		fault.ExitUsage:       "the command or the request is wrong",
		fault.ExitConfig:      "the configuration is wrong",
		fault.ExitNotFound:    "there is no such thing, or there is none any more",
		fault.ExitUnavailable: "something that is needed does not answer; the same command may succeed later",
		fault.ExitTimeout:     "it took too long, and may or may not have been done",
		fault.ExitWaiting:     "the turn waits for a person; nothing has failed",
		fault.ExitDenied:      "the server does not know the caller, or does not let it do this",
		fault.ExitCancelled:   "it was interrupted or cancelled",
	}
	codes := make([]int, 0, len(rows))
	for code := range rows {
		codes = append(codes, code)
	}
	sort.Ints(codes)
	var b strings.Builder
	b.WriteString("Exit codes of ak and what they mean. They do not change between releases.\n\n")
	for _, code := range codes {
		fmt.Fprintf(&b, "  %3d  %s\n", code, rows[code])
	}
	b.WriteString("\nAn error is written to standard error, once: what happened, why, and what to try.")
	return &cobra.Command{Use: "exit-codes", Short: "What the exit codes mean", Long: b.String()}
}
