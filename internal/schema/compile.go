package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// maxProblems bounds how many problems one Check reports: its text may go to a model.
const maxProblems = 8

// Validator checks documents against one schema. It may be used by several goroutines.
type Validator struct{ compiled *jsonschema.Schema }

// Compile prepares a schema, which is taken as draft 2020-12 unless it says otherwise. A schema that is not valid, or
// that refers to anything outside itself, is an error.
func Compile(raw []byte) (*Validator, error) {
	doc, err := parse(raw)
	if err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(closed{})
	const at = "urn:agentkernel:schema"
	if err := c.AddResource(at, doc); err != nil {
		return nil, explain(err)
	}
	compiled, err := c.Compile(at)
	if err != nil {
		return nil, explain(err)
	}
	return &Validator{compiled}, nil
}

// Check reports what in a JSON document breaks the schema: nil, or an error whose text names each place as a path
// ("amount", "items/0/name") and what is wrong there. The document's own values may occur in it.
func (v *Validator) Check(document []byte) error {
	doc, err := parse(document)
	if err != nil {
		return fmt.Errorf("the document is no JSON: %w", err)
	}
	err = v.compiled.Validate(doc)
	if err == nil {
		return nil
	}
	return explain(err)
}

func parse(raw []byte) (any, error) {
	if !json.Valid(raw) { // stricter than the library: trailing data, for one
		var any any
		if err := json.Unmarshal(raw, &any); err != nil {
			return nil, err
		}
		return nil, errors.New("not valid JSON")
	}
	return jsonschema.UnmarshalJSON(bytes.NewReader(raw))
}

// closed is a loader that loads nothing.
type closed struct{}

func (closed) Load(url string) (any, error) {
	return nil, errors.New("a schema may not refer to another document")
}

var english = message.NewPrinter(language.English)

// explain turns the library's tree of causes into one line: its leaves, each with its place.
func explain(err error) error {
	var invalid *jsonschema.ValidationError
	var bad *jsonschema.SchemaValidationError
	switch {
	case errors.As(err, &invalid):
	case errors.As(err, &bad) && errors.As(bad.Err, &invalid):
	default:
		return fmt.Errorf("schema: %s", strings.ReplaceAll(err.Error(), "urn:agentkernel:schema", ""))
	}
	var lines []string
	leaves(invalid, &lines)
	if more := len(lines) - maxProblems; more > 0 {
		lines = append(lines[:maxProblems], fmt.Sprintf("and %d more", more))
	}
	return errors.New(strings.Join(lines, "; "))
}

func leaves(e *jsonschema.ValidationError, lines *[]string) {
	if len(e.Causes) == 0 {
		text := e.ErrorKind.LocalizedString(english)
		if at := strings.Join(e.InstanceLocation, "/"); at != "" {
			text = at + ": " + text
		}
		*lines = append(*lines, text)
	}
	for _, cause := range e.Causes {
		leaves(cause, lines)
	}
}
