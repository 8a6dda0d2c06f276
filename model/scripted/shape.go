package scripted

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"
)

// A schema may refer to itself, so what is made of it is bounded in depth and in size.
const (
	maxDepth  = 12
	maxValues = 1000
)

// shaped is a small JSON object that fits a schema, with text where it asks for a string. It knows the common keywords;
// whether the result fits is for whoever wants it to check.
func shaped(schema json.RawMessage, text string) (string, bool) {
	dec := json.NewDecoder(bytes.NewReader(schema))
	dec.UseNumber() // so that numbers keep their digits
	var root map[string]any
	if dec.Decode(&root) != nil {
		return "", false
	}
	m := &maker{root: root, text: text}
	object, ok := m.value(root, 0).(map[string]any)
	if !ok {
		return "", false
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(object) != nil { // everything in it came out of JSON
		return "", false
	}
	return strings.TrimSpace(b.String()), true
}

type maker struct {
	root map[string]any
	text string
	made int
}

func (m *maker) value(v any, depth int) any {
	s, ok := v.(map[string]any)
	if m.made++; !ok || depth > maxDepth || m.made > maxValues {
		return nil
	}
	if ref, ok := s["$ref"].(string); ok {
		return m.value(m.resolve(ref), depth+1)
	}
	for _, word := range []string{"const", "default"} {
		if fixed, ok := s[word]; ok {
			return fixed
		}
	}
	if list, ok := s["enum"].([]any); ok && len(list) > 0 {
		return list[0]
	}
	for _, word := range []string{"anyOf", "oneOf", "allOf"} {
		if list, ok := s[word].([]any); ok && len(list) > 0 {
			return m.value(list[0], depth+1)
		}
	}
	switch kind(s) {
	case "object":
		return m.object(s, depth)
	case "array":
		list := []any{}
		for range min(number(s["minItems"]), 8) {
			list = append(list, m.value(s["items"], depth+1))
		}
		return list
	case "string":
		return m.string(s)
	case "integer", "number":
		for _, word := range []string{"minimum", "maximum"} {
			if n, ok := s[word].(json.Number); ok && (strings.HasPrefix(n.String(), "-") == (word == "maximum")) {
				return n // 0 is too small, or too large
			}
		}
		return 0
	case "boolean":
		return false
	}
	return nil
}

// kind is the type that a schema asks for; of several the first, and where it names none what its keywords mean.
func kind(s map[string]any) string {
	switch t := s["type"].(type) {
	case string:
		return t
	case []any:
		if len(t) > 0 {
			name, _ := t[0].(string)
			return name
		}
	}
	if s["properties"] != nil {
		return "object"
	}
	return "string"
}

// object has the properties that are required; if none is, all, for an empty object shows nothing.
func (m *maker) object(s map[string]any, depth int) map[string]any {
	properties, _ := s["properties"].(map[string]any)
	required, _ := s["required"].([]any)
	out := map[string]any{}
	for _, name := range sortedKeys(properties) { // in order, so that a bound that is met cuts always the same
		p := properties[name]
		if len(required) == 0 && depth < 3 || slices.Contains(required, any(name)) {
			out[name] = m.value(p, depth+1)
		}
	}
	return out
}

var formats = map[string]string{
	"date-time": "2026-01-01T00:00:00Z", "date": "2026-01-01", "time": "00:00:00Z", "email": "someone@example.com",
	"uri": "https://example.com/", "uuid": "00000000-0000-4000-8000-000000000000",
}

func (m *maker) string(s map[string]any) string {
	if format, ok := s["format"].(string); ok && formats[format] != "" {
		return formats[format]
	}
	text := m.text
	if most := number(s["maxLength"]); s["maxLength"] != nil && utf8.RuneCountInString(text) > most {
		text = string([]rune(text)[:most])
	}
	if least := min(number(s["minLength"]), 1000); utf8.RuneCountInString(text) < least {
		text += strings.Repeat(".", least-utf8.RuneCountInString(text))
	}
	return text
}

// resolve finds what a reference into the schema, as #/$defs/name, stands for.
func (m *maker) resolve(ref string) any {
	var at any = m.root
	path, ok := strings.CutPrefix(ref, "#")
	if !ok {
		return nil
	}
	for _, name := range strings.Split(strings.TrimPrefix(path, "/"), "/") {
		if name == "" {
			continue
		}
		object, _ := at.(map[string]any)
		at = object[strings.NewReplacer("~1", "/", "~0", "~").Replace(name)]
	}
	return at
}

// number is a keyword's count, 0 if it is none.
func number(v any) int {
	n, ok := v.(json.Number)
	if !ok {
		return 0
	}
	count, err := n.Int64()
	if err != nil {
		return 0
	}
	return int(max(count, 0))
}

// isObject reports that text is one JSON object.
func isObject(text string) bool {
	var m map[string]json.RawMessage
	return json.Unmarshal([]byte(text), &m) == nil && m != nil
}
