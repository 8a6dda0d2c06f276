package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEveryVariableThatIsListedIsRead(t *testing.T) {
	dir := t.TempDir() // a model's name has a slash, so variables reach only those of the file
	if err := os.WriteFile(filepath.Join(dir, DefaultFile), []byte("models: {p/m: {window: 1}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	stand := strings.NewReplacer("MODELS__<ID>", "MODELS__P_M", "<ID>", "P", "<NAME>", "0", "<HEADER>", "X_KEY")
	seen := map[string]bool{}
	for _, v := range Variables() {
		name := stand.Replace(v.Name)
		if seen[v.Name] || v.Doc == "" || v.Type == "" || !v.Fits(name) || v.Fits(name+"__MORE") && !strings.HasSuffix(v.Name, ">") {
			t.Errorf("%+v", v)
		}
		seen[v.Name] = true
		_, err := Load(Options{Dir: dir, Env: []string{name + "=x", "AK_TOOLS__0__NAME=t", "AK_AGENTS__0__NAME=t", "AK_PROVIDERS__P__TYPE=scripted"}})
		if err != nil && strings.Contains(err.Error(), name+" is not known") {
			t.Errorf("%s: %v", v.Name, err)
		}
	}
	for _, want := range []string{"AK_API__PORT", "AK_PROVIDERS__<ID>__API_KEY", "AK_TOOLS__<NAME>__HTTP__HEADERS__<HEADER>", "AK_AGENTS__<NAME>__LIMITS__WALL", "AK_EGRESS__ALLOW"} {
		if !seen[want] {
			t.Errorf("%s is not listed", want)
		}
	}
}
