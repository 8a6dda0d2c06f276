package fault_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/agentkernel/agentkernel/fault"
)

// declared reads the constants of type Kind from the source: value → the comment beside it.
func declared(t *testing.T) map[fault.Kind]string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "kind.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[fault.Kind]string{}
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); !ok || typ.Name != "Kind" {
			return true
		}
		value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := kinds[fault.Kind(value)]; twice {
			t.Errorf("two constants are %q", value)
		}
		kinds[fault.Kind(value)] = strings.TrimSpace(spec.Comment.Text())
		return true
	})
	return kinds
}

func TestEveryKindHasAMeaningAndConsequences(t *testing.T) {
	source := declared(t)
	inTable := fault.Kinds()
	slices.Sort(inTable)
	if want := slices.Sorted(maps.Keys(source)); !slices.Equal(inTable, want) {
		t.Errorf("the table has %v\nthe source    %v", inTable, want)
	}
	for kind, meaning := range source {
		if meaning == "" {
			t.Errorf("%s has no meaning", kind)
		}
		if !regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`).MatchString(string(kind)) {
			t.Errorf("%q is no label", kind)
		}
	}
}

func TestConsequencesMakeSense(t *testing.T) {
	codes := []int{
		fault.ExitFailed, fault.ExitUsage, fault.ExitConfig, fault.ExitNotFound, fault.ExitUnavailable, fault.ExitTimeout,
		fault.ExitWaiting, fault.ExitDenied, fault.ExitCancelled,
	}
	for _, kind := range fault.Kinds() {
		trait := kind.Trait()
		success := trait.Status >= 200 && trait.Status < 300
		switch {
		case success != (kind == fault.Waiting):
			t.Errorf("%s: status %d, and only waiting is no failure", kind, trait.Status)
		case !success && (trait.Status < 400 || trait.Status > 599):
			t.Errorf("%s: status %d", kind, trait.Status)
		case !slices.Contains(codes, trait.Exit):
			t.Errorf("%s: exit code %d has no name", kind, trait.Exit)
		case trait.Exit == 0:
			t.Errorf("%s exits with success", kind)
		case trait.Retryable && trait.Status < 500 && trait.Status != 429:
			t.Errorf("%s can be retried, and its status %d says that the request is wrong", kind, trait.Status)
		case (trait.Status == 503 || trait.Status == 429) != (trait.Exit == fault.ExitUnavailable) && trait.Status != 502:
			t.Errorf("%s: status %d and exit code %d say different things", kind, trait.Status, trait.Exit)
		case trait.Status == 504 && trait.Exit != fault.ExitTimeout:
			t.Errorf("%s: a time-out exits with %d", kind, trait.Exit)
		case trait.Status == 404 && trait.Exit != fault.ExitNotFound:
			t.Errorf("%s: not found exits with %d", kind, trait.Exit)
		}
	}
	if !slices.IsSorted(codes) || len(slices.Compact(slices.Clone(codes))) != len(codes) {
		t.Errorf("exit codes are not distinct: %v", codes)
	}
}

func TestAKindOfANewerReleaseIsTreatedAsUnknown(t *testing.T) {
	for _, kind := range []fault.Kind{"", "sunspots"} {
		if kind.Trait() != fault.Unknown.Trait() {
			t.Errorf("%q: %+v", kind, kind.Trait())
		}
	}
}

func TestKindsCanBeChangedByWhoAskedForThem(t *testing.T) {
	all := fault.Kinds()
	clear(all)
	if slices.Contains(fault.Kinds(), "") {
		t.Error("a caller changed the table")
	}
}
