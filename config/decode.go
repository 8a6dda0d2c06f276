package config

import (
	"bytes"
	"fmt"
	"net/textproto"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// mapKeys are the sorts of keys that maps have, by the tag keys.
var mapKeys = map[string]struct {
	pattern *regexp.Regexp
	why     string // what a key must be
}{
	"id":     {regexp.MustCompile("^[a-z0-9][a-z0-9_-]{0,63}$"), "an id has up to 64 small letters, digits, dashes and underscores"},
	"header": {regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$"), "a header's name has letters, digits and dashes"},
	"env":    {regexp.MustCompile("^[A-Za-z_][A-Za-z0-9_]{0,127}$"), "a variable's name has letters, digits and underscores"},
	"tool":   {regexp.MustCompile("^[A-Za-z0-9_./-]{1,128}$"), "a tool's name has letters, digits, dots, slashes, dashes and underscores"},
	"model":  {regexp.MustCompile(`^[^/\s]+/\S+$`), "it must be a provider's id, a slash and a model, as agents name it: openai/gpt-5-mini"},
}

// decoder lays one source over a configuration. It goes on after a problem, so that all of them are found.
type decoder struct {
	from     *origins
	vault    *vault
	kind     string // the kind of source
	name     string // the file, variable or flag
	left     int    // nodes that may still be visited
	problems Problems
}

func (d *decoder) source(n *yaml.Node) Source {
	s := Source{Kind: d.kind, Name: d.name}
	if d.kind == FromFile {
		s.Line = n.Line
	}
	return s
}

func (d *decoder) problem(n *yaml.Node, path, what, why, try string) {
	key := path
	if key == "" {
		key = "the configuration"
	}
	d.problems = append(d.problems, Problem{
		Where: d.source(n).String(), Key: path, What: strings.TrimSpace(key + " " + what), Why: why, Try: try,
	})
}

// value decodes n into v, which is addressable and holds what the earlier sources say.
func (d *decoder) value(n *yaml.Node, v reflect.Value, f field, path string, depth int) {
	if d.left--; d.left < 0 || depth > maxDepth {
		if d.left > -2 {
			d.problem(n, path, "is too deep or too large", "a configuration has a few hundred values", "remove the aliases")
		}
		return
	}
	if n.Kind == yaml.AliasNode {
		d.value(n.Alias, v, f, path, depth+1)
		return
	}
	if n.Tag == tagLoose && !isScalar(f.typ) {
		n = d.tighten(n, f, path)
		if n == nil {
			return
		}
	}
	switch {
	case f.typ == rawType:
		d.raw(n, v, path)
	case isScalar(f.typ):
		d.scalar(n, v, f, path)
	case f.typ.Kind() == reflect.Slice:
		d.list(n, v, f, path, depth)
	case f.typ.Kind() == reflect.Map:
		d.entries(n, v, f, path, depth)
	case f.typ.Kind() == reflect.Pointer:
		d.pointer(n, v, f, path, depth)
	default:
		d.object(n, v, path, depth)
	}
}

// tighten gives the text of a variable or flag the shape of an object or list.
func (d *decoder) tighten(n *yaml.Node, f field, path string) *yaml.Node {
	text := strings.TrimSpace(n.Value)
	isList := f.typ.Kind() == reflect.Slice && f.typ != rawType
	if isList && f.typ.Elem().Kind() == reflect.String && !strings.HasPrefix(text, "[") {
		out := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for _, part := range list(text) {
			out.Content = append(out.Content, scalar(tagString, strings.TrimSpace(part)))
		}
		return out
	}
	out, err := fromJSON(text)
	if err != nil {
		try := "write it as JSON, {…}"
		if isList {
			try = "write it as JSON, […]"
		}
		d.problem(n, path, "is not "+f.sort(), err.Error(), try)
		return nil
	}
	return out
}

func (d *decoder) object(n *yaml.Node, v reflect.Value, path string, depth int) {
	if !d.isMapping(n, path) {
		return
	}
	d.mark(path, n)
	fields := fieldsOf(v.Type())
	d.pairs(n, path, func(key, value *yaml.Node) {
		for _, f := range fields {
			if f.name == key.Value {
				d.value(value, v.Field(f.index), f, join(path, f.name), depth+1)
				return
			}
		}
		why, meant := advise(path, key.Value, v.Type())
		if key.ShortTag() == "!!merge" {
			why, meant = "YAML merge keys are not supported", ""
		}
		try := "remove it"
		if meant != "" {
			try = meant
		}
		d.problem(key, join(path, key.Value), "is not known", why, try)
	})
}

// isMapping reports whether n has keys; nothing at all counts, as in "openai:".
func (d *decoder) isMapping(n *yaml.Node, path string) bool {
	if n.Kind == yaml.MappingNode || isNull(n) {
		return true
	}
	d.problem(n, path, "is not an object", "it is "+describe(n), "write its keys below it, indented")
	return false
}

// pairs calls do for every key of a mapping, once each.
func (d *decoder) pairs(n *yaml.Node, path string, do func(key, value *yaml.Node)) {
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			d.problem(key, path, "has a key that is no text", "keys are plain words", "")
			continue
		}
		if line, twice := seen[key.Value]; twice {
			d.problem(key, join(path, key.Value), "is given twice", fmt.Sprintf("line %d has it too", line), "remove one")
			continue
		}
		seen[key.Value] = key.Line
		do(key, value)
	}
}

// mark remembers the source of what n sets. What merely leads to a variable's or flag's value keeps its own.
func (d *decoder) mark(path string, n *yaml.Node) {
	_, known := d.from.at[path]
	if path != "" && !(known && n.Tag == tagWay) {
		d.from.set(path, d.source(n))
	}
}

func (d *decoder) entries(n *yaml.Node, v reflect.Value, f field, path string, depth int) {
	if !d.isMapping(n, path) {
		return
	}
	d.mark(path, n)
	if v.IsNil() {
		v.Set(reflect.MakeMap(f.typ))
	}
	lines := map[string]int{}
	d.pairs(n, path, func(key, value *yaml.Node) {
		name, why := mapKey(f, key.Value)
		if line, twice := lines[name]; twice && why == "" {
			why = fmt.Sprintf("line %d has it in other letters", line)
		}
		if why != "" {
			d.problem(key, join(path, key.Value), "is no usable name", why, "rename it")
			return
		}
		lines[name] = key.Line
		entry := reflect.New(f.typ.Elem()).Elem()
		if old := v.MapIndex(reflect.ValueOf(name)); old.IsValid() {
			entry.Set(old)
		} else if isObject(f.typ.Elem()) {
			setDefaults(entry)
		}
		d.value(value, entry, field{name: name, typ: f.typ.Elem()}, join(path, keyPart(name)), depth+1)
		v.SetMapIndex(reflect.ValueOf(name), entry)
	})
}

// mapKey is the form in which a key of a map is kept, or why it cannot be one.
func mapKey(f field, key string) (name, why string) {
	if kind, ok := mapKeys[f.keys]; ok && !kind.pattern.MatchString(key) {
		return "", kind.why
	}
	if f.keys == "header" {
		key = textproto.CanonicalMIMEHeaderKey(key)
	}
	return key, ""
}

func (d *decoder) pointer(n *yaml.Node, v reflect.Value, f field, path string, depth int) {
	if v.IsNil() {
		v.Set(reflect.New(f.typ.Elem()))
		setDefaults(v.Elem())
	}
	f.typ = f.typ.Elem()
	d.value(n, v.Elem(), f, path, depth+1)
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, f field, path string, depth int) {
	item := f.element()
	if n.Tag == tagPatch {
		for i := 0; i+1 < len(n.Content); i += 2 {
			at, _ := strconv.Atoi(n.Content[i].Value)
			for v.Len() <= at { // at most one: a patch may add one element, at the end
				v.Set(reflect.Append(v, fresh(item.typ)))
				d.from.set(join(path, strconv.Itoa(at)), d.source(n))
			}
			d.value(n.Content[i+1], v.Index(at), item, join(path, n.Content[i].Value), depth+1)
		}
		return
	}
	if n.Kind != yaml.SequenceNode && !isNull(n) {
		d.problem(n, path, "is not a list", "it is "+describe(n), "write one \"- item\" a line, or [a, b]")
		return
	}
	d.from.forget(path)
	d.mark(path, n)
	out := reflect.MakeSlice(f.typ, 0, len(n.Content))
	for i, child := range n.Content {
		element := fresh(item.typ)
		d.value(child, element, item, join(path, strconv.Itoa(i)), depth+1)
		out = reflect.Append(out, element)
		if d.left < 0 {
			break
		}
	}
	v.Set(out)
}

func fresh(t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	if isObject(t) {
		setDefaults(v)
	}
	return v
}

func (d *decoder) raw(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		d.problem(n, path, "is not an object", "it is "+describe(n), lastPart(path)+": {type: object, properties: {…}}")
		return
	}
	var b bytes.Buffer
	if err := toJSON(&b, n, 0, &d.left); err != nil {
		d.problem(n, path, "cannot be read", err.Error(), "")
		return
	}
	if reference.Match(b.Bytes()) {
		d.problem(n, path, "refers to a secret", "models are told what is in it", "remove <file:…>")
		return
	}
	v.SetBytes(b.Bytes())
	d.from.forget(path)
	d.mark(path, n)
}
