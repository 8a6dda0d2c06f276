package main

import (
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/agentkernel/agentkernel/fault"
)

func (a *app) manCommand() *cobra.Command {
	return &cobra.Command{
		Use: "man DIR", Short: "Write manual pages", Args: exactly("DIR"), DisableFlagsInUseLine: true,
		Long: "man writes a manual page of section 1 for every command into a folder, which is made if it is missing. Their date is\nthat of the variable SOURCE_DATE_EPOCH, or today.",
		RunE: func(cmd *cobra.Command, args []string) error {
			header := &doc.GenManHeader{Section: "1", Source: "ak " + readBuild().Version, Manual: "Agent Kernel"}
			if text := os.Getenv("SOURCE_DATE_EPOCH"); text != "" {
				seconds, err := strconv.ParseInt(text, 10, 64)
				if err != nil {
					return usage(cmd, "SOURCE_DATE_EPOCH is no number of seconds")
				}
				day := time.Unix(seconds, 0).UTC()
				header.Date = &day
			}
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return fault.New(fault.BadRequest, "", "the folder cannot be made: %w", err)
			}
			if err := doc.GenManTree(cmd.Root(), header, args[0]); err != nil {
				return fault.New(fault.BadRequest, "", "the pages cannot be written: %w", err)
			}
			return nil
		},
	}
}
