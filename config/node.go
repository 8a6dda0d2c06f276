package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Bounds on what is read: the configuration is written by people, and anything beyond these is a mistake or an attack
// by aliases that name each other.
const (
	maxFile  = 4 << 20
	maxDepth = 64
	maxNodes = 200_000
)

const (
	tagString = "!!str"
	tagInt    = "!!int"
	tagBool   = "!!bool"
	tagNull   = "!!null"
	tagFloat  = "!!float"
	// tagLoose marks text that has no sort of its own: a variable's or a flag's.
	tagLoose = "!loose"
	// tagWay marks a mapping of one key on the way to a variable's or flag's value.
	tagWay = "!way"
	// tagPatch marks a mapping from numbers that changes elements of a list and leaves the others.
	tagPatch = "!patch"
)

func scalar(tag, value string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: value}
}

func mapping(pairs ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: pairs}
}

// fromJSON makes a node of a JSON text and keeps the order of keys. The text may hold secrets, so errors do not quote
// it.
func fromJSON(text string) (*yaml.Node, error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	n, err := readJSON(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON value")
	}
	return n, nil
}

func readJSON(d *json.Decoder, depth int) (*yaml.Node, error) {
	token, err := d.Token()
	if err != nil || depth > maxDepth {
		return nil, errors.New("it is no valid JSON")
	}
	switch t := token.(type) {
	case string:
		return scalar(tagString, t), nil
	case bool:
		return scalar(tagBool, fmt.Sprint(t)), nil
	case nil:
		return scalar(tagNull, "null"), nil
	case json.Number:
		if strings.ContainsAny(t.String(), ".eE") {
			return scalar(tagFloat, t.String()), nil
		}
		return scalar(tagInt, t.String()), nil
	}
	n := mapping()
	if token == json.Delim('[') {
		n = &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
	}
	for d.More() {
		if n.Kind == yaml.MappingNode {
			key, err := d.Token()
			if err != nil {
				return nil, errors.New("it is no valid JSON")
			}
			name, _ := key.(string)
			n.Content = append(n.Content, scalar(tagString, name))
		}
		child, err := readJSON(d, depth+1)
		if err != nil {
			return nil, err
		}
		n.Content = append(n.Content, child)
	}
	if _, err := d.Token(); err != nil {
		return nil, errors.New("it is no valid JSON")
	}
	return n, nil
}

// toJSON writes a node as JSON and keeps the order of keys. left bounds the number of nodes, which aliases multiply.
func toJSON(b *bytes.Buffer, n *yaml.Node, depth int, left *int) error {
	if *left--; *left < 0 || depth > maxDepth {
		return errors.New("it is too deep or too large")
	}
	switch n.Kind {
	case yaml.AliasNode:
		return toJSON(b, n.Alias, depth+1, left)
	case yaml.SequenceNode:
		return jsonList(b, n, depth, left)
	case yaml.MappingNode:
		return jsonObject(b, n, depth, left)
	case yaml.ScalarNode:
		return jsonScalar(b, n)
	}
	return errors.New("it holds something that JSON cannot carry")
}

func jsonList(b *bytes.Buffer, n *yaml.Node, depth int, left *int) error {
	b.WriteByte('[')
	for i, child := range n.Content {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := toJSON(b, child, depth+1, left); err != nil {
			return err
		}
	}
	b.WriteByte(']')
	return nil
}

func jsonObject(b *bytes.Buffer, n *yaml.Node, depth int, left *int) error {
	seen := map[string]bool{}
	b.WriteByte('{')
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		switch {
		case key.Kind != yaml.ScalarNode || key.ShortTag() == "!!merge":
			return errors.New("it has a key that is no plain text")
		case seen[key.Value]:
			return fmt.Errorf("the key %q comes twice", key.Value)
		}
		seen[key.Value] = true
		if i > 0 {
			b.WriteByte(',')
		}
		writeJSON(b, key.Value)
		b.WriteByte(':')
		if err := toJSON(b, n.Content[i+1], depth+1, left); err != nil {
			return err
		}
	}
	b.WriteByte('}')
	return nil
}

func jsonScalar(b *bytes.Buffer, n *yaml.Node) error {
	switch n.ShortTag() {
	case tagNull:
		b.WriteString("null")
	case tagString, "!!timestamp":
		writeJSON(b, n.Value)
	case tagBool:
		var v bool
		if err := n.Decode(&v); err != nil {
			return errors.New("it holds a value that is neither true nor false")
		}
		writeJSON(b, v)
	case tagInt, tagFloat:
		if json.Valid([]byte(n.Value)) {
			b.WriteString(n.Value) // as written: no digit is lost
			return nil
		}
		var v any
		if err := n.Decode(&v); err != nil {
			return errors.New("it holds a number that JSON cannot carry")
		}
		if f, ok := v.(float64); ok && (math.IsNaN(f) || math.IsInf(f, 0)) {
			return errors.New("it holds a number that JSON cannot carry")
		}
		writeJSON(b, v)
	default:
		return errors.New("it holds a value with a YAML tag")
	}
	return nil
}

// writeJSON writes a value that is known to be writable, without HTML escapes.
func writeJSON(b *bytes.Buffer, v any) {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err == nil {
		b.Truncate(b.Len() - 1) // the encoder's line break
	}
}
