package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/store/dynamodb"
	"github.com/agentkernel/agentkernel/store/memory"
	"github.com/agentkernel/agentkernel/store/postgres"
	"github.com/agentkernel/agentkernel/store/redis"
	"github.com/agentkernel/agentkernel/store/sqlite"
)

// declared is what every store says of itself, at every level. None of them connects to anything.
func declared(t *testing.T) (all []session.Durability) {
	t.Helper()
	add := func(s session.Store, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s.Durability())
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	add(sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"), sqlite.Config{}))
	add(postgres.Open(t.Context(), "postgres://127.0.0.1:1/db", postgres.Config{}))
	add(postgres.Open(t.Context(), "postgres://127.0.0.1:1/db", postgres.Config{Standby: postgres.SyncStandby}))
	add(postgres.Open(t.Context(), "postgres://127.0.0.1:1/db", postgres.Config{Standby: postgres.AsyncStandby}))
	add(redis.Open(t.Context(), "redis://127.0.0.1:1", redis.Config{Durability: redis.Async}))
	add(redis.Open(t.Context(), "redis://127.0.0.1:1", redis.Config{Durability: redis.Replicated}))
	add(dynamodb.Open(t.Context(), "agentkernel", dynamodb.Config{}))
	add(memory.New(), nil)
	return all
}

// durabilityTables are the tables of docs/stores.md that are made from the code.
func durabilityTables(all []session.Durability) string {
	var b strings.Builder
	faults := all[0].Faults()
	b.WriteString("| store |")
	for _, f := range faults {
		b.WriteString(" " + f.Fault + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(faults)) + "\n")
	for _, d := range all {
		fmt.Fprintf(&b, "| %s: %s |", d.Store, d.Level)
		for _, f := range d.Faults() {
			fmt.Fprintf(&b, " %s |", f.Loses)
		}
		b.WriteByte('\n')
	}
	b.WriteString("\nHow that is known: the name of a test, or who declares it where no test can.\n\n| store | fault | shown by |\n|---|---|---|\n")
	for _, d := range all {
		for _, f := range d.Faults() {
			if f.Shown != "" {
				fmt.Fprintf(&b, "| %s: %s | %s | %s |\n", d.Store, d.Level, f.Fault, f.Shown)
			}
		}
	}
	b.WriteString("\nWhat an append costs: a turn without tools is two of them, and each round of tool calls two more.\n\n| store | durable writes per append, at most | reads per append | note |\n|---|---|---|---|\n")
	for _, d := range all {
		fmt.Fprintf(&b, "| %s: %s | %d | %d | %s |\n", d.Store, d.Level, d.AppendWrites, d.AppendReadBacks, d.Note)
	}
	return b.String()
}

// TestThePageOfStoresSaysWhatTheyDeclare: docs/stores.md has the table of every store and level as the code has it.
func TestThePageOfStoresSaysWhatTheyDeclare(t *testing.T) {
	const page = "../../docs/stores.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), "-update -->\n")
	_, tail, ok2 := strings.Cut(rest, "<!-- end -->")
	if !ok || !ok2 {
		t.Fatal("there is no place for the tables")
	}
	want := head + "-update -->\n\n" + durabilityTables(declared(t)) + "\n<!-- end -->" + tail
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(text) != want {
		t.Errorf("%s is not what the stores declare; if that is meant: go test ./cmd/ak -run TestThePageOfStores -update", page)
	}
}

var testName = regexp.MustCompile(`\bTest[A-Z]\w*`)

// TestWhatStoresDeclareIsShown: what is said to lose nothing names a test of this module, or says who declares it.
func TestWhatStoresDeclareIsShown(t *testing.T) {
	there := map[string]bool{}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range regexp.MustCompile(`(?m)^func (Test[A-Z]\w*)\(`).FindAllSubmatch(text, -1) {
			there[string(m[1])] = true
		}
		return err
	})
	if err != nil || len(there) < 500 {
		t.Fatalf("%d tests were found, %v", len(there), err)
	}
	seen := map[string]bool{}
	for _, d := range declared(t) {
		name := d.Store + ": " + d.Level
		if seen[name] || d.Store == "" || d.Level == "" {
			t.Errorf("%q is declared twice, or has no name", name)
		}
		seen[name] = true
		for _, f := range d.Faults() {
			for _, test := range testName.FindAllString(f.Shown, -1) {
				if !there[test] {
					t.Errorf("%s, %s: there is no %s", name, f.Fault, test)
				}
			}
			if f.Loses == session.LosesNothing && f.Shown == "" || f.Loses == "" {
				t.Errorf("%s, %s: loses %q, shown by %q", name, f.Fault, f.Loses, f.Shown)
			}
		}
	}
}
