package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/agentkernel/agentkernel/config"
)

func (a *app) configCommand() *cobra.Command {
	var sources bool
	var format string
	show := &cobra.Command{
		Use: "print", Short: "Show every value in use, secrets masked", Args: a.noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if format != config.YAML && format != config.JSON {
				return usage(cmd, "there is no output format %q; there is yaml and json", format)
			}
			cfg, err := a.load(cmd, nil)
			if err != nil {
				return err
			}
			a.warn(cfg)
			return cfg.Print(a.out, format, sources)
		},
	}
	show.Flags().BoolVar(&sources, "sources", false, "show where each value came from")
	show.Flags().StringVarP(&format, "output", "o", config.YAML, "output `format`: yaml or json")

	validate := a.withOutput(&cobra.Command{
		Use: "validate", Short: "Say everything that is wrong with the configuration", Args: a.noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.validate(cmd) },
	})
	schema := &cobra.Command{
		Use: "schema", Short: "Write the JSON Schema of the configuration file", Args: a.noArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := a.out.Write(config.Schema())
			return err
		},
	}
	return a.group("config", "Show and check the configuration", show, validate, schema, a.configEnv())
}

// validate loads the configuration as serve would.
func (a *app) validate(cmd *cobra.Command) error {
	cfg, err := a.load(cmd, nil)
	if err != nil {
		return err
	}
	a.warn(cfg)
	if err := cfg.CheckServe(); err != nil {
		return err
	}
	parts, err := makeParts(cfg) // scripts are read, and nothing is connected to
	if err != nil {
		return err
	}
	parts.retire()
	if a.format == asJSON {
		return printValue(a.out, map[string]any{"valid": true, "file": cfg.File(), "digest": cfg.Digest(), "warnings": append([]string{}, cfg.Warnings()...)})
	}
	file := cfg.File()
	if file == "" {
		file = "the configuration (there is no file)"
	}
	_, err = fmt.Fprintf(a.out, "%s is valid: %d agent(s), %d tool(s)\n", file, len(cfg.Agents), len(cfg.Tools))
	return err
}

// warn writes what does not keep anything from working.
func (a *app) warn(cfg *config.Config) {
	for _, w := range cfg.Warnings() {
		_, _ = fmt.Fprintln(a.err, "Warning: "+w)
	}
}
