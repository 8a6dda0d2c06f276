package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// Formats of output.
const (
	asTable = "table"
	asJSON  = "json"
)

// withOutput gives a command the flag -o.
func (a *app) withOutput(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVarP(&a.format, "output", "o", asTable, "output `format`: table or json")
	inner := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if a.format != asTable && a.format != asJSON {
			return usage(cmd, "there is no output format %q; there is table and json", a.format)
		}
		return inner(cmd, args)
	}
	return cmd
}

// table writes rows under a head. Cells are made fit for a terminal.
func table(w io.Writer, head string, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, strings.ReplaceAll(head, " ", "\t"))
	for _, row := range rows {
		for i := range row {
			if row[i] = printable(row[i]); row[i] == "" {
				row[i] = "-"
			}
		}
		_, _ = fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	return t.Flush()
}

// printable is text in one line and without control characters, which a terminal would obey.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsControl(r):
			return -1
		}
		return r
	}, text)
}

// safe is text of several lines without the control characters that a terminal would obey.
func safe(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && unicode.IsControl(r) {
			return -1
		}
		return r
	}, text)
}

func cut(text string, limit int) string {
	runes := []rune(printable(strings.TrimSpace(text)))
	if len(runes) <= limit {
		return string(runes)
	}
	return string(runes[:limit-1]) + "…"
}

// printJSON writes JSON for people and programs: indented, one value.
func printJSON(w io.Writer, raw []byte) error {
	var b bytes.Buffer
	if err := json.Indent(&b, bytes.TrimSpace(raw), "", "  "); err != nil {
		return fault.New(fault.Malformed, "", "the server did not answer with JSON: %w", err)
	}
	b.WriteByte('\n')
	_, err := w.Write(b.Bytes())
	return err
}

func printValue(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fault.New(fault.Internal, "", "%w", err)
	}
	return printJSON(w, b)
}

// clock is a time as tables show it.
func clock(m session.Millis) string {
	if m == 0 {
		return ""
	}
	return time.UnixMilli(int64(m)).UTC().Format(time.RFC3339)
}

// terminal reports whether a stream is one.
func terminal(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
