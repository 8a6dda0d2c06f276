package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// onlyLoad begins the files whose mistakes a schema cannot express.
const onlyLoad = "# only Load can tell"

func TestDocumentedMistakesAreRefusedBySchemaAndLoad(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	check := compiledSchema(t)
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, err = loadText(string(text), Options{Env: []string{EnvSecrets + "=testdata/secrets"}})
			problemsOf(t, err)
			golden(t, "bad/"+name+".golden", []byte(err.Error()+"\n"))
			inSchema := check(string(text)) != nil
			if expressible := !strings.HasPrefix(string(text), onlyLoad); inSchema != expressible {
				t.Errorf("the schema refuses it: %v, want %v", inSchema, expressible)
			}
		})
	}
}
