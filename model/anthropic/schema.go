package anthropic

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
)

// errOpen says that a schema cannot be reduced to what the API takes.
var errOpen = errors.New("the schema has references or open objects")

// taken are the keywords that the API takes as they are.
var taken = []string{"type", "description", "title", "enum", "const", "default", "required"}

// reduce makes a schema one that the API takes. What it leaves out only bounds values, so a value that fits the whole
// schema fits the reduced one, but for objects: they are closed, which loses properties that the schema does not name.
// A schema with references, or with objects that name no properties, is errOpen; one that is not JSON another error.
func reduce(schema json.RawMessage) (json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(schema))
	dec.UseNumber() // so that numbers keep their digits
	var v any
	if err := dec.Decode(&v); err != nil || !json.Valid(schema) {
		return nil, errors.New("the schema of the answer is not JSON")
	}
	reduced, err := reduceValue(v)
	if err != nil {
		return nil, err
	}
	return json.Marshal(reduced)
}

func reduceValue(v any) (any, error) {
	in, ok := v.(map[string]any)
	if !ok || in["$ref"] != nil || in["$dynamicRef"] != nil { // true, false, or a reference
		return nil, errOpen
	}
	out := map[string]any{}
	for _, word := range taken {
		if value, ok := in[word]; ok {
			out[word] = value
		}
	}
	for _, word := range []string{"anyOf", "oneOf", "allOf"} {
		list, ok := in[word].([]any)
		if !ok {
			continue
		}
		if word == "allOf" && len(list) > 1 { // closed objects do not go together
			return nil, errOpen
		}
		reduced := make([]any, len(list))
		for i := range list {
			var err error
			if reduced[i], err = reduceValue(list[i]); err != nil {
				return nil, err
			}
		}
		if word == "oneOf" { // the API has only the wider one
			word = "anyOf"
		}
		out[word] = reduced
	}
	if items, ok := in["items"]; ok {
		reduced, err := reduceValue(items)
		if err != nil {
			return nil, err
		}
		out["items"] = reduced
	}
	return out, reduceObject(in, out)
}

// reduceObject adds what an object's schema has beside the rest.
func reduceObject(in, out map[string]any) error {
	properties, named := in["properties"].(map[string]any)
	if !named {
		if isObject(in["type"]) {
			return errOpen
		}
		return nil
	}
	if open, ok := in["additionalProperties"]; ok && open != false {
		return errOpen
	}
	reduced := map[string]any{}
	for name, p := range properties {
		var err error
		if reduced[name], err = reduceValue(p); err != nil {
			return err
		}
	}
	out["properties"], out["additionalProperties"] = reduced, false
	return nil
}

// isObject reports that a "type" allows objects.
func isObject(typ any) bool {
	list, ok := typ.([]any)
	return typ == "object" || ok && slices.Contains(list, any("object"))
}

// inWords asks for an answer that fits a schema.
func inWords(schema json.RawMessage) string {
	return "Answer with nothing but one JSON object, without a fence around it, that fits this JSON Schema:\n" + string(schema)
}
