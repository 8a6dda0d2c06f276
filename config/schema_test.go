package config

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// compiledSchema is a check of a file's text against the schema. It uses the library by itself, so that a mistake in our
// own wrapper cannot hide one in the schema.
func compiledSchema(t testing.TB) func(text string) error {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(Schema())))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("urn:config", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("urn:config")
	if err != nil {
		t.Fatal(err)
	}
	return func(text string) error {
		raw, err := json.Marshal(tree(t, text))
		if err != nil {
			t.Fatal(err)
		}
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(string(raw)))
		if err != nil {
			t.Fatal(err)
		}
		return s.Validate(v)
	}
}

func TestSchemaIsAsCommitted(t *testing.T) { golden(t, "schema.golden.json", Schema()) }

func TestSchemaIsDraft2020AndClosedEverywhere(t *testing.T) {
	var root map[string]any
	if err := json.Unmarshal(Schema(), &root); err != nil {
		t.Fatal(err)
	}
	if root["$schema"] != "https://json-schema.org/draft/2020-12/schema" {
		t.Errorf("$schema is %v", root["$schema"])
	}
	var walk func(v any, path string)
	walk = func(v any, path string) {
		m, ok := v.(map[string]any)
		if !ok {
			return
		}
		if props, ok := m["properties"].(map[string]any); ok {
			if m["additionalProperties"] != false {
				t.Errorf("%s allows unknown keys", path)
			}
			for name, p := range props {
				if d, _ := p.(map[string]any)["description"].(string); d == "" {
					t.Errorf("%s.%s has no description", path, name)
				}
			}
		}
		for key, inner := range m {
			if key != "default" { // a value, not a schema
				walk(inner, path+"/"+key)
			}
		}
	}
	walk(root, "")
}

func TestQuickstartIsValidForSchemaAndLoad(t *testing.T) {
	const path = "../examples/quickstart/config.yaml"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	check := compiledSchema(t)
	if err := check(string(text)); err != nil {
		t.Errorf("schema: %v", err)
	}
	c, err := Load(Options{Path: path, Env: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.CheckServe(); err != nil {
		t.Errorf("it cannot serve: %v", err)
	}
	real := strings.Replace(string(text), "model: offline/demo", "", 1)
	real = strings.Replace(real, "# model: openai/", "model: openai/", 1)
	live := mustLoad(t, real, Options{Env: []string{"OPENAI_API_KEY=k"}})
	if err := live.CheckServe(); err != nil || live.Agents[0].Model != "openai/gpt-5-mini" {
		t.Errorf("the commented line does not switch to a real model: %v, %q", err, live.Agents[0].Model)
	}
}

func TestTheIssuesExampleIsValidForSchemaAndLoad(t *testing.T) {
	text, err := os.ReadFile("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := compiledSchema(t)(string(text)); err != nil {
		t.Errorf("schema: %v", err)
	}
	mustLoad(t, string(text), Options{Env: []string{"AK_SECRETS_PATH=testdata/secrets"}})
}
