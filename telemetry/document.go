package telemetry

import (
	"fmt"
	"strings"
)

// Document is the page docs/metrics.md, in Markdown.
func Document() string {
	var b strings.Builder
	b.WriteString(`# Metrics

` + "`GET /metrics`" + ` answers in the Prometheus text format. Besides the metrics below it has those of the Go runtime (` + "`go_*`" + `)
and of the process (` + "`process_*`" + `). Each replica counts what it saw itself; counters start at 0 with the process. This page is
written from the list in ` + "`telemetry/list.go`" + `, and a test compares them.

A label whose values could come from outside keeps ` + fmt.Sprint(MaxValues) + ` of them apart; the rest is counted as ` + "`other`" + `. The label
` + "`code`" + ` has the same words as the ` + "`code`" + ` of an error's problem document, and is empty when nothing failed.

`)
	b.WriteString(Table())
	return b.String()
}

// Table is [List] as a Markdown table.
func Table() string {
	var b strings.Builder
	b.WriteString("| name | type | unit | labels | what it says |\n|---|---|---|---|---|\n")
	for _, m := range List {
		labels := make([]string, len(m.Labels))
		for i, l := range m.Labels {
			labels[i] = "`" + l + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", m.Name, m.Type, dash(m.Unit), dash(strings.Join(labels, ", ")), m.Help)
	}
	return b.String()
}

func dash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}
