package agentkernel_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/agentkernel/agentkernel/fault"
)

// The documentation is tested like code: what it names exists, its tables say what the code says, and its commands run.

// pages are the documents, by path.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/adr/*.md"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			all[name] = read(t, name)
		}
	}
	if len(all) < 10 {
		t.Fatalf("only %d pages", len(all))
	}
	return all
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// rows are the cells of all table rows of a page whose first cell matches.
func rows(page string, first *regexp.Regexp) (all [][]string) {
	for _, line := range strings.Split(page, "\n") {
		line, ok := strings.CutPrefix(strings.TrimSpace(line), "|")
		if !ok {
			continue
		}
		cells := strings.Split(strings.TrimSuffix(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if first.MatchString(cells[0]) {
			all = append(all, cells)
		}
	}
	return all
}

var link = regexp.MustCompile(`\[([^\]]+)\]\(([^)\s]+)\)`)

func TestLinksLeadSomewhere(t *testing.T) {
	for name, text := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			target, anchor, _ := strings.Cut(m[2], "#")
			if strings.Contains(target, "://") {
				continue
			}
			path := name
			if target != "" {
				path = filepath.Join(filepath.Dir(name), target)
			}
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%s links to %s, which is not there", name, m[2])
				continue
			}
			if anchor != "" && !slices.Contains(anchors(read(t, path)), anchor) {
				t.Errorf("%s links to %s, and there is no such heading", name, m[2])
			}
		}
	}
}

// anchors are the names of a page's headings as links use them.
func anchors(page string) (all []string) {
	for _, line := range strings.Split(page, "\n") {
		heading := strings.TrimLeft(line, "#")
		if heading == line || !strings.HasPrefix(heading, " ") {
			continue
		}
		name := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-', r >= 'a' && r <= 'z', r >= '0' && r <= '9':
				return r
			}
			return -1
		}, strings.ToLower(strings.TrimSpace(heading)))
		all = append(all, name)
	}
	return all
}

func TestEveryPromiseNamesTestsThatExist(t *testing.T) {
	promise := regexp.MustCompile(`^\*\*P(\d+)\*\*`)
	list := rows(read(t, "docs/guarantees.md"), promise)
	if len(list) != 16 {
		t.Fatalf("the table has %d promises, want 16", len(list))
	}
	tests := map[string]map[string]bool{} // by folder
	checked := 0
	for i, cells := range list {
		if n := promise.FindStringSubmatch(cells[0])[1]; n != strconv.Itoa(i+1) {
			t.Errorf("row %d is P%s", i+1, n)
		}
		if len(cells) != 4 {
			t.Errorf("P%d has %d cells, want 4", i+1, len(cells))
			continue
		}
		named := link.FindAllStringSubmatch(cells[2], -1)
		if len(named) == 0 && !strings.Contains(strings.ToLower(cells[1]), "not built") {
			t.Errorf("P%d names no test and is not said to be not built", i+1)
		}
		for _, m := range named {
			dir := filepath.Join("docs", m[2])
			if tests[dir] == nil {
				tests[dir] = testsIn(t, dir)
			}
			checked++
			if !tests[dir][m[1]] {
				t.Errorf("P%d names %s, which is not in %s", i+1, m[1], dir)
			}
		}
	}
	if checked < 30 {
		t.Errorf("only %d tests were looked for", checked)
	}
}

// testsIn are the test functions of the package in a folder.
func testsIn(t *testing.T, dir string) map[string]bool {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, name := range names {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") {
				found[f.Name.Name] = true
			}
		}
	}
	return found
}

// TestTheNumberOfShapesIsTheTests: the figures say how many shapes of turns every crash is tried on.
func TestTheNumberOfShapesIsTheTests(t *testing.T) {
	_, list, _ := strings.Cut(read(t, "crash_test.go"), "var shapes = ")
	list, _, _ = strings.Cut(list, "\n}\n")
	n := len(regexp.MustCompile(`(?m)^\t\{"`).FindAllString(list, -1))
	if want := fmt.Sprintf("%d shapes of turns", n); n < 10 || !strings.Contains(read(t, "docs/guarantees.md"), want) {
		t.Errorf("docs/guarantees.md does not say %q", want)
	}
}

func TestTheTableOfErrorsIsTheCodes(t *testing.T) {
	list := rows(read(t, "docs/http.md"), regexp.MustCompile("^`[a-z_]+`$"))
	told := map[string][]string{}
	for _, cells := range list {
		if _, err := strconv.Atoi(cells[1]); err != nil || len(cells) != 5 {
			continue // another table
		}
		told[strings.Trim(cells[0], "`")] = cells[1:4]
	}
	for _, kind := range fault.Kinds() {
		trait := kind.Trait()
		again := "no"
		if trait.Retryable {
			again = "yes"
		}
		want := []string{strconv.Itoa(trait.Status), strconv.Itoa(trait.Exit), again}
		if got := told[string(kind)]; !slices.Equal(got, want) {
			t.Errorf("%s is documented as %v, it is %v", kind, got, want)
		}
		delete(told, string(kind))
	}
	for kind := range told {
		t.Errorf("%s is documented, and there is no such kind", kind)
	}
}

func TestEveryRouteIsDocumented(t *testing.T) {
	var api struct {
		Paths map[string]map[string]any `json:"paths"`
	}
	if err := json.Unmarshal([]byte(read(t, "server/testdata/openapi.json")), &api); err != nil {
		t.Fatal(err)
	}
	page := read(t, "docs/http.md")
	routes := 0
	for path, methods := range api.Paths {
		for method := range methods {
			routes++
			if route := fmt.Sprintf("`%s %s`", strings.ToUpper(method), path); !strings.Contains(page, route) {
				t.Errorf("docs/http.md does not have %s", route)
			}
		}
	}
	if routes < 15 {
		t.Errorf("only %d routes were looked for", routes)
	}
}

func TestEveryConfigurationKeyIsDocumented(t *testing.T) {
	var schema map[string]any
	if err := json.Unmarshal([]byte(read(t, "config/testdata/schema.golden.json")), &schema); err != nil {
		t.Fatal(err)
	}
	page := read(t, "docs/config.md")
	keys := map[string]bool{}
	collect(schema, "", keys)
	for key := range keys {
		if !strings.Contains(page, "`"+key+"`") {
			t.Errorf("docs/config.md does not have the key `%s`", key)
		}
	}
	if len(keys) < 40 {
		t.Errorf("only %d keys were looked for", len(keys))
	}
}

// collect gathers the paths of a schema's values; a list's entries are key[], a map's are key.<id>.
func collect(schema map[string]any, path string, keys map[string]bool) {
	down := func(value any, path string) bool {
		s, ok := value.(map[string]any)
		if ok {
			collect(s, path, keys)
		}
		return ok
	}
	if path == "tools[].parameters" { // its value is a schema, and has no keys of ours
		keys[path] = true
		return
	}
	inner := false
	if properties, ok := schema["properties"].(map[string]any); ok {
		for name, value := range properties {
			inner = down(value, strings.TrimPrefix(path+"."+name, ".")) || inner
		}
	}
	inner = down(schema["items"], path+"[]") || inner
	if s, ok := schema["additionalProperties"].(map[string]any); ok && s["properties"] != nil {
		inner = down(s, path+".<id>") || inner
	}
	if !inner {
		keys[strings.TrimSuffix(path, "[]")] = true
	}
}

// TestTheFirstLinesOfTheLibraryAreTheExample: README.md shows the body of Example, in 15 lines at most.
func TestTheFirstLinesOfTheLibraryAreTheExample(t *testing.T) {
	_, rest, _ := strings.Cut(read(t, "example_test.go"), "func Example() {\n")
	body, _, _ := strings.Cut(rest, "\t// Output:")
	if n := strings.Count(body, "\n"); n > 15 || n < 5 {
		t.Errorf("the example has %d lines, want at most 15", n)
	}
	if !strings.Contains(read(t, "README.md"), "```go\n"+body+"```") {
		t.Error("README.md shows another example than the one that is tested")
	}
}

func TestTheCommandsAtTheTopAreTheTwo(t *testing.T) {
	page := read(t, "README.md")
	first := page[strings.Index(page, "$ "):]
	if !regexp.MustCompile(`^\$ make run\b.*\n\$ make test\b`).MatchString(first) {
		t.Errorf("the first commands of README.md are %.80q", first)
	}
}
