package config

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"go.yaml.in/yaml/v3"
)

// Formats of [Config.Print].
const (
	YAML = "yaml"
	JSON = "json"
)

// Print writes every value of the configuration with its secrets masked. With sources, YAML shows where each value came
// from as a comment, and JSON shows each value as {"value": …, "source": …}. A YAML print without secrets is itself a
// valid configuration with the same [Config.Digest]. The error is the writer's, or of kind Config for another format.
func (c *Config) Print(w io.Writer, format string, withSources bool) error {
	p := printer{cfg: c, sources: withSources, asJSON: format == JSON}
	switch format {
	case YAML:
		e := yaml.NewEncoder(w)
		e.SetIndent(2)
		if err := e.Encode(p.tree()); err != nil {
			return err
		}
		return e.Close()
	case JSON:
		var indented bytes.Buffer
		if err := json.Indent(&indented, p.json(), "", "  "); err != nil {
			return err
		}
		indented.WriteByte('\n')
		_, err := w.Write(indented.Bytes())
		return err
	}
	return fault.New(fault.Config, "config.Print", "there is no format %q", format).WithTry("%s or %s", YAML, JSON)
}

// Digest is the SHA-256, in hex, of the effective configuration without its secrets. Two processes with the same digest
// serve the same agents in the same way and place; where values came from and the order of keys do not matter.
func (c *Config) Digest() string {
	return printer{cfg: c, digest: true}.sum()
}

// FleetDigest is [Config.Digest] without what is each replica's own: the addresses it listens on and its zone. Replicas
// of one store that differ in it do not answer alike.
func (c *Config) FleetDigest() string { return printer{cfg: c, digest: true, fleet: true}.sum() }

// sum is the SHA-256 of what is printed, in hex.
func (p printer) sum() string {
	var v any
	d := json.NewDecoder(bytes.NewReader(p.json()))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		panic("config: the print is no JSON: " + err.Error())
	}
	canonical, err := json.Marshal(v) // sorts keys
	if err != nil {
		panic("config: the print cannot be written: " + err.Error())
	}
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:])
}

// String is the masked configuration as one line of JSON.
func (c Config) String() string { return string(c.masked()) }

// GoString is the masked configuration.
func (c Config) GoString() string { return "config.Config(" + c.String() + ")" }

// Format writes the masked configuration for every verb.
func (c Config) Format(f fmt.State, verb rune) { formatText(f, verb, c.String(), c.GoString()) }

// MarshalJSON is the masked configuration.
func (c Config) MarshalJSON() ([]byte, error) { return c.masked(), nil }

// MarshalYAML is the masked configuration.
func (c Config) MarshalYAML() (any, error) { return printer{cfg: &c}.tree(), nil }

// LogValue is the masked configuration.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

func (c *Config) masked() []byte { return printer{cfg: c}.json() }

// printer makes a tree of what may be shown.
type printer struct {
	cfg     *Config
	sources bool
	asJSON  bool
	fleet   bool // leave out what is each replica's own
	digest  bool // leave out secrets altogether, so that replacing one changes nothing
}

func (p printer) tree() *yaml.Node { return p.object(reflect.ValueOf(p.cfg).Elem(), "") }

func (p printer) json() []byte {
	var b bytes.Buffer
	left := 1 << 30
	if err := toJSON(&b, p.tree(), 0, &left); err != nil {
		panic("config: " + err.Error()) // the tree is our own
	}
	return b.Bytes()
}

func (p printer) object(v reflect.Value, path string) *yaml.Node {
	n := mapping()
	for _, f := range fieldsOf(v.Type()) {
		at := join(path, f.name)
		field := v.Field(f.index)
		unset := f.optional && blank(field) && (!p.cfg.isSet(at) || p.digest)
		if unset || (p.digest && f.typ == secretType) || (p.fleet && f.own) {
			continue
		}
		p.add(n, f.name, p.value(field, f, at), at, f.typ == rawType)
	}
	return n
}

// blank reports whether a value is as it is before anything is read.
func blank(v reflect.Value) bool {
	if !isObject(v.Type()) {
		return v.IsZero()
	}
	fresh := reflect.New(v.Type()).Elem()
	setDefaults(fresh)
	return reflect.DeepEqual(v.Interface(), fresh.Interface())
}

// add puts a pair into a mapping, with the source where it belongs; whole says that what is inside has no sources.
func (p printer) add(n *yaml.Node, name string, value *yaml.Node, path string, whole bool) {
	key := scalar(tagString, name)
	leaf := value.Kind == yaml.ScalarNode || len(value.Content) == 0 || whole
	if p.sources && leaf {
		source := p.cfg.Source(path).String()
		switch {
		case p.asJSON:
			value = mapping(scalar(tagString, "value"), value, scalar(tagString, "source"), scalar(tagString, source))
		case value.Style == yaml.LiteralStyle || len(value.Content) > 0:
			key.HeadComment = "# " + source // after a block there is no end of line to put it
		default:
			value.LineComment = "# " + source
		}
	}
	n.Content = append(n.Content, key, value)
}

func (p printer) value(v reflect.Value, f field, path string) *yaml.Node {
	switch {
	case f.typ == rawType:
		n, err := fromJSON(string(v.Bytes()))
		if err != nil {
			return scalar(tagNull, "null") // only in a Config that was not loaded
		}
		return n
	case isScalar(f.typ):
		return p.scalar(v, f, path)
	case isObject(f.typ):
		return p.object(v, path)
	case f.typ.Kind() == reflect.Pointer:
		return p.object(v.Elem(), path)
	case f.typ.Kind() == reflect.Map:
		return p.entries(v, f, path)
	}
	n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
	for i := range v.Len() {
		at := join(path, strconv.Itoa(i))
		element := p.value(v.Index(i), field{typ: f.typ.Elem()}, at)
		if p.sources && element.Kind == yaml.ScalarNode {
			pair := mapping()
			p.add(pair, "", element, at, false)
			element = pair.Content[1]
		}
		n.Content = append(n.Content, element)
	}
	return n
}

func (p printer) entries(v reflect.Value, f field, path string) *yaml.Node {
	n := mapping()
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	for _, key := range keys {
		at := join(path, keyPart(key.String()))
		value := scalar(tagNull, "null")
		if !p.digest || f.typ.Elem() != secretType {
			value = p.value(v.MapIndex(key), field{typ: f.typ.Elem()}, at)
		}
		p.add(n, key.String(), value, at, false)
	}
	return n
}

func (p printer) scalar(v reflect.Value, f field, path string) *yaml.Node {
	switch {
	case f.typ == durationType:
		d := time.Duration(v.Int())
		if f.unit == "seconds" && d%time.Second == 0 {
			return scalar(tagInt, strconv.FormatInt(int64(d/time.Second), 10))
		}
		return scalar(tagString, short(d))
	case f.typ == secretType:
		return scalar(tagString, v.Interface().(Secret).String())
	case f.typ == urlType:
		return scalar(tagString, v.Interface().(URL).String())
	case f.typ.Kind() == reflect.String:
		text := v.String()
		if written, ok := p.cfg.from.written[path]; ok {
			text = written
		}
		n := scalar(tagString, text)
		if strings.Contains(text, "\n") {
			n.Style = yaml.LiteralStyle
		}
		return n
	case f.typ.Kind() == reflect.Bool:
		return scalar(tagBool, strconv.FormatBool(v.Bool()))
	}
	if f.typ.Kind() == reflect.Float64 {
		return floatNode(v.Float())
	}
	return scalar(tagInt, strconv.FormatInt(v.Int(), 10))
}

// floatNode is a float as YAML and JSON write it; a whole one is written as such.
func floatNode(n float64) *yaml.Node {
	text := strconv.FormatFloat(n, 'g', -1, 64)
	if strings.ContainsAny(text, ".e") {
		return scalar(tagFloat, text)
	}
	return scalar(tagInt, text)
}

// Sources are all values that something else than a default set: dotted path to source.
func (c *Config) Sources() map[string]Source { return maps.Clone(c.from.at) }
