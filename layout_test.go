package agentkernel_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The tests of this file hold the whole module to the layout and the house style: who may import whom, how long files
// and functions may be, what has to be documented, and that no named crash point is left without a place.

const module = "github.com/agentkernel/agentkernel"

// mayImport says for each folder what its code may import beside the standard library. Folders of this module are
// written relative to its root ("." is the root itself), anything else is the beginning of an import path. A pattern's
// "*" stands for one folder; the first pattern that fits a folder counts. Tests may import what they like.
var mayImport = []struct {
	folder  string
	imports string
}{
	// Leaves: contracts that everything else is built on.
	{"fault", ""},
	{"session", "fault"},
	{"model", "fault"},

	// The engine.
	{".", "fault session model resilience internal/*"},
	{"resilience", "fault model github.com/failsafe-go/failsafe-go"},

	// One technology each.
	{"store/memory", "fault session"},
	{"store/sqlite", "fault session modernc.org/sqlite"},
	{"store/redis", "fault session github.com/redis/"},
	{"store/dynamodb", "fault session github.com/aws/"},
	{"store/postgres", "fault session github.com/jackc/pgx"},
	{"model/scripted", "fault model"},
	{"model/openai", "fault model github.com/openai/openai-go"},
	{"model/anthropic", "fault model github.com/anthropics/anthropic-sdk-go"},
	{"model/gemini", "fault model google.golang.org/genai"},
	{"model/bedrock", "fault model github.com/aws/"},
	{"tool/http", ". fault session internal/schema"},
	{"tool/mcp", ". fault session internal/schema github.com/modelcontextprotocol/go-sdk"},

	// What proves the contracts.
	{"session/sessiontest", "fault session github.com/anishathalye/porcupine pgregory.net/rapid"},
	{"model/modeltest", "fault model model/scripted"},
	{"kerneltest", ". fault session model store/memory model/scripted internal/failpoint"},
	{"chaos", ""},
	{"bench", ""},
	{"inference", ""},

	// The edges.
	{"server", ". fault session model auth telemetry github.com/danielgtaylor/huma"}, // model: conversations are shown in its types
	{"serverless", ". fault server github.com/aws/aws-lambda-go"},
	{"auth", "fault github.com/coreos/go-oidc"},
	{"telemetry", "fault session model github.com/prometheus/ go.opentelemetry.io/"},
	{"config", "fault internal/schema go.yaml.in/yaml"},
	{"backup", "fault session"},
	{"loadgen", "fault"},

	// Helpers that nobody outside can use.
	{"internal/clock", "golang.org/x/sys"},
	{"internal/failpoint", ""},
	{"internal/proc", ""},
	{"internal/servers", ""},
	{"internal/lifecycle", "fault"},
	{"internal/schema", "github.com/invopop/jsonschema github.com/santhosh-tekuri/jsonschema golang.org/x/text"},

	// Wiring may import everything; examples are what users write.
	{"cmd/*", "anything"},
	{"examples/*", "anything"},
	{"examples/*/*", "anything"},
}

func allowed(imports, importPath string) bool {
	if first, _, _ := strings.Cut(importPath, "/"); !strings.Contains(first, ".") {
		return true // the standard library
	}
	folder, ours := strings.CutPrefix(importPath, module)
	folder = strings.TrimPrefix(folder, "/")
	for _, term := range strings.Fields(imports) {
		switch {
		case term == "anything":
			return true
		case ours && (term == folder || term == "." && folder == ""):
			return true
		case ours && strings.Contains(term, "*"):
			if ok, _ := path.Match(term, folder); ok {
				return true
			}
		case !ours && strings.HasPrefix(importPath, term):
			return true
		}
	}
	return false
}

// source is one non-test, non-generated file of the module.
type source struct {
	folder string // relative to the root
	path   string
	file   *ast.File
	set    *token.FileSet
}

func (s source) line(p token.Pos) int { return s.set.Position(p).Line }

// sources are all of them, whatever system or build tag they are for.
func sources(t *testing.T) []source {
	t.Helper()
	out, err := exec.Command("go", "list", "-e", "-json=ImportPath,Dir", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []source
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct{ ImportPath, Dir string }
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		folder := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		if folder == "" {
			folder = "."
		}
		files, err := filepath.Glob(filepath.Join(p.Dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			set := token.NewFileSet()
			f, err := parser.ParseFile(set, name, nil, parser.ParseComments)
			if err != nil {
				t.Errorf("%v", err)
				continue
			}
			if !ast.IsGenerated(f) {
				all = append(all, source{folder, path.Join(folder, filepath.Base(name)), f, set})
			}
		}
	}
	if len(all) < 50 {
		t.Fatalf("only %d files were found", len(all))
	}
	return all
}

func TestPackagesImportOnlyWhatTheLayoutAllows(t *testing.T) {
	for _, s := range sources(t) {
		known := false
		for _, rule := range mayImport {
			if ok, _ := path.Match(rule.folder, s.folder); !ok {
				continue
			}
			known = true
			for _, spec := range s.file.Imports {
				p, err := strconv.Unquote(spec.Path.Value)
				if err != nil {
					t.Fatal(err)
				}
				if !allowed(rule.imports, p) {
					t.Errorf("%s:%d imports %s; %s may import the standard library and: %s", s.path, s.line(spec.Pos()), p, s.folder, rule.imports)
				}
			}
			break
		}
		if !known {
			t.Errorf("%s: the layout does not say what folder %s may import; add a row to mayImport", s.path, s.folder)
		}
	}
}

func TestTheImportRuleTellsRightFromWrong(t *testing.T) {
	for _, c := range []struct {
		imports, path string
		want          bool
	}{
		{"", "net/http", true},
		{"", module + "/fault", false},
		{"fault", module + "/fault", true},
		{"fault", module + "/faulty", false},
		{"session", module + "/session/sessiontest", false},
		{".", module, true},
		{".", module + "/session", false},
		{"session", module, false},
		{"internal/*", module + "/internal/clock", true},
		{"internal/*", module + "/internal/clock/deep", false},
		{"modernc.org/sqlite", "modernc.org/sqlite/lib", true},
		{"modernc.org/sqlite", "modernc.org/libc", false},
		{"fault", "example.com/fault", false},
		{"anything", "example.com/fault", true},
	} {
		if got := allowed(c.imports, c.path); got != c.want {
			t.Errorf("%q allows %s: %t", c.imports, c.path, got)
		}
	}
}

const (
	maxFile     = 400 // lines
	maxFunction = 60
)

func TestFilesAndFunctionsAreShort(t *testing.T) {
	for _, s := range sources(t) {
		if n := s.line(s.file.FileEnd - 1); n > maxFile {
			t.Errorf("%s has %d lines, %d are allowed", s.path, n, maxFile)
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := s.line(f.End()) - s.line(f.Pos()) + 1; n > maxFunction {
				t.Errorf("%s:%d: %s has %d lines, %d are allowed", s.path, s.line(f.Pos()), f.Name.Name, n, maxFunction)
			}
		}
	}
}

func TestEverythingExportedIsDocumented(t *testing.T) {
	documented := map[string]bool{}
	for _, s := range sources(t) {
		documented[s.folder] = documented[s.folder] || s.file.Doc.Text() != ""
		for _, d := range s.file.Decls {
			for _, name := range undocumented(d) {
				t.Errorf("%s:%d: %s has no comment", s.path, s.line(d.Pos()), name)
			}
		}
	}
	for folder, ok := range documented {
		if !ok {
			t.Errorf("package %s has no comment", folder)
		}
	}
}

// spoken are methods whose meaning the standard library fixes.
var spoken = []string{
	"Error", "Unwrap", "Is", "As", "String", "GoString", "LogValue", "Len", "Less", "Swap",
	"MarshalText", "UnmarshalText", "MarshalJSON", "UnmarshalJSON", "UnmarshalYAML", "MarshalYAML",
	"Read", "Write", "Close", "ServeHTTP", "RoundTrip",
}

// undocumented names what a declaration exports without a comment. A comment on a group counts for what is in it.
func undocumented(d ast.Decl) []string {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc.Text() == "" && (d.Recv == nil || !slices.Contains(spoken, d.Name.Name) && exportedType(d.Recv)) {
			return []string{d.Name.Name}
		}
	case *ast.GenDecl:
		if d.Doc.Text() != "" {
			return nil
		}
		var names []string
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() && s.Doc.Text() == "" {
					names = append(names, s.Name.Name)
				}
			case *ast.ValueSpec:
				for _, n := range s.Names {
					if n.IsExported() && s.Doc.Text() == "" && s.Comment.Text() == "" {
						names = append(names, n.Name)
					}
				}
			}
		}
		return names
	}
	return nil
}

func exportedType(recv *ast.FieldList) bool {
	t := recv.List[0].Type
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	if generic, ok := t.(*ast.IndexExpr); ok {
		t = generic.X
	}
	id, ok := t.(*ast.Ident)
	return ok && id.IsExported()
}

func TestEveryFailpointIsListedAndHit(t *testing.T) {
	declared, listed, hit := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, s := range sources(t) {
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ValueSpec:
				if s.folder != "internal/failpoint" {
					return true
				}
				if typ, ok := n.Type.(*ast.Ident); ok && typ.Name == "Name" {
					declared[n.Names[0].Name] = true
				}
				if n.Names[0].Name == "All" {
					for _, e := range n.Values[0].(*ast.CompositeLit).Elts {
						listed[e.(*ast.Ident).Name] = true
					}
				}
			case *ast.CallExpr:
				f, ok := n.Fun.(*ast.SelectorExpr)
				if !ok || f.Sel.Name != "Hit" || len(n.Args) != 1 || s.folder != "." {
					return true
				}
				if arg, ok := n.Args[0].(*ast.SelectorExpr); ok {
					hit[arg.Sel.Name] = true
				}
			}
			return true
		})
	}
	if len(declared) == 0 {
		t.Fatal("no failpoint was found")
	}
	for name := range declared {
		if !listed[name] {
			t.Errorf("failpoint %s is not in All", name)
		}
		if !hit[name] {
			t.Errorf("failpoint %s is never hit by the engine", name)
		}
	}
	for name := range hit {
		if !declared[name] {
			t.Errorf("the engine hits failpoint %s, which is not declared", name)
		}
	}
}

func TestTheLayoutNamesNoFolderTwice(t *testing.T) {
	var seen []string
	for _, rule := range mayImport {
		if slices.Contains(seen, rule.folder) {
			t.Errorf("folder %s has two rows", rule.folder)
		}
		seen = append(seen, rule.folder)
	}
	if _, err := os.Stat("go.mod"); err != nil {
		t.Errorf("these tests are not at the module's root: %v", err)
	}
}
