package config

import (
	"encoding/json"
	"reflect"
	"strings"
	"sync"

	"github.com/agentkernel/agentkernel/internal/schema"
)

// Schema is the JSON Schema (2020-12) of the file, indented. Editors use it to complete and check; [Load] checks more
// than a schema can say, and accepts one thing that the schema does not: an object or list without content, as in
// "openai:".
func Schema() []byte { return append([]byte(nil), schemaText()...) }

var schemaText = sync.OnceValue(func() []byte {
	type bare Config // without the methods by which Config writes itself
	s, err := schema.Reflect(reflect.TypeFor[bare](), schema.Options{
		Tag: "yaml", Optional: true, Map: mapType, Field: describeField,
	})
	if err != nil {
		panic("config: " + err.Error()) // the types are fixed: a test that calls Schema meets it
	}
	s.Title = "Agent Kernel configuration"
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		panic("config: " + err.Error())
	}
	return append(text, '\n')
})

const (
	durationPattern = `^[+]?(0|(([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|ms|s|m|h))+)$`
	secondsPattern  = `^[+]?([0-9]+|(([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|ms|s|m|h))+)$`
	urlPattern      = `^(https?://|<file:)`
)

func mapType(t reflect.Type) *schema.Schema {
	switch t {
	case durationType:
		return &schema.Schema{Type: "string", Pattern: durationPattern}
	case secretType:
		return &schema.Schema{Type: "string"}
	case urlType:
		return &schema.Schema{Type: "string", Pattern: urlPattern}
	case rawType:
		return &schema.Schema{Type: "object"}
	}
	return nil
}

// describeField puts what the tags say into a field's schema.
func describeField(sf reflect.StructField, name string, s, parent *schema.Schema) {
	f := readTags(sf, 0)
	s.Description = f.doc
	if f.required && !f.hasDef {
		parent.Required = append(parent.Required, name)
	}
	one := s
	if f.typ.Kind() == reflect.Slice && f.typ != rawType {
		one = s.Items
	}
	if f.either != "" {
		parent.OneOf = append(parent.OneOf, &schema.Schema{Required: []string{f.name}}, &schema.Schema{Required: []string{f.either}})
	}
	for _, choice := range f.enum {
		one.Enum = append(one.Enum, choice)
	}
	if f.pattern != nil {
		s.Pattern = f.pattern.String()
	}
	if len(f.schemes) > 0 {
		s.Pattern = "^((" + strings.ReplaceAll(strings.Join(f.schemes, "|"), "+", `\+`) + ")://|<file:)"
	}
	if f.required && f.typ.Kind() == reflect.String && f.pattern == nil {
		s.MinLength = new(uint64)
		*s.MinLength = 1
	}
	if s.Type == "integer" || s.Type == "number" {
		s.Minimum, s.Maximum = json.Number(f.min), json.Number(f.max)
	}
	if f.hasDef {
		s.Default = defaultOf(f)
	}
	if kind, ok := mapKeys[f.keys]; ok {
		s.PropertyNames = &schema.Schema{Pattern: kind.pattern.String()}
	}
	if f.unit == "seconds" {
		s.Type, s.Pattern = "", ""
		s.AnyOf = []*schema.Schema{{Type: "integer", Minimum: "1"}, {Type: "string", Pattern: secondsPattern}}
	}
}

// defaultOf is the default as the file would hold it.
func defaultOf(f field) any {
	switch {
	case f.typ == rawType:
		return json.RawMessage(f.def)
	case f.typ.Kind() == reflect.Bool:
		return f.def == "true"
	case f.typ.Kind() == reflect.Slice:
		return list(f.def)
	case f.unit == "seconds", f.typ != durationType && f.typ.Kind() != reflect.String:
		return json.Number(f.def)
	}
	return f.def
}
