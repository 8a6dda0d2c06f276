package config

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Variables that are read besides AK_SECTION__KEY.
const (
	EnvFile    = "AK_CONFIG_PATH_OVERRIDE" // the file to read in place of config.yaml
	EnvSecrets = "AK_SECRETS_PATH"         // the folder of secret files
)

const envPrefix = "AK_"

// VariableFor is the name of the variable that sets the value at a dotted path: "api.port" is AK_API__PORT.
func VariableFor(path string) string {
	parts := splitPath(path)
	for i := range parts {
		parts[i] = strings.ToUpper(plain(parts[i]))
	}
	return envPrefix + strings.Join(parts, "__")
}

// variables lays the environment over the file.
func (l *loader) variables() {
	byKey := map[string]string{} // variable name to value
	for name, value := range l.env {
		rest, ours := strings.CutPrefix(name, envPrefix)
		_, section := fieldNamed(reflect.TypeFor[Config](), strings.ToLower(rest))
		switch {
		case !ours || name == EnvFile || name == EnvSecrets || slices.Contains(l.opts.KnownEnv, name):
		case section || strings.Contains(rest, "__"):
			byKey[name] = value
		default:
			l.warn(name)
		}
	}
	slices.Sort(l.cfg.from.warnings)
	for _, name := range slices.SortedFunc(maps.Keys(byKey), byDepth("__")) {
		l.overlay(FromEnv, name, strings.Split(strings.TrimPrefix(name, envPrefix), "__"), byKey[name])
	}
}

func (l *loader) warn(name string) {
	text := "the variable " + name + " is not known and has no effect"
	if meant, ok := nearest(name, variableNames(reflect.TypeFor[Config](), "")); ok {
		text += "; the nearest that has is " + meant
	}
	l.cfg.from.warnings = append(l.cfg.from.warnings, text)
}

// variableNames are the names of all variables for keys outside lists and maps.
func variableNames(t reflect.Type, path string) []string {
	var out []string
	for _, f := range fieldsOf(t) {
		if isObject(f.typ) {
			out = append(out, variableNames(f.typ, join(path, f.name))...)
		} else {
			out = append(out, VariableFor(join(path, f.name)))
		}
	}
	return append(out, EnvFile, EnvSecrets)
}

// flags lays the caller's values over everything.
func (l *loader) flags() {
	for _, key := range slices.SortedFunc(maps.Keys(l.opts.Flags), byDepth(".")) {
		l.overlay(FromFlag, key, splitPath(key), l.opts.Flags[key])
	}
}

// byDepth orders keys so that a whole comes before its parts and element 2 before element 10.
func byDepth(separator string) func(a, b string) int {
	return func(a, b string) int {
		as, bs := strings.Split(a, separator), strings.Split(b, separator)
		if c := cmp.Compare(len(as), len(bs)); c != 0 {
			return c
		}
		return slices.CompareFunc(as, bs, func(x, y string) int {
			n, errX := strconv.Atoi(x)
			m, errY := strconv.Atoi(y)
			if errX == nil && errY == nil && n != m {
				return cmp.Compare(n, m)
			}
			return cmp.Compare(x, y)
		})
	}
}

// overlay sets one value by the parts of its key.
func (l *loader) overlay(kind, name string, parts []string, value string) {
	root := reflect.ValueOf(l.cfg).Elem()
	r := resolver{kind: kind}
	for _, a := range l.cfg.Agents {
		r.models = append(r.models, a.Model)
	}
	n := r.node(root, field{typ: root.Type()}, "", parts, scalar(tagLoose, value))
	if n == nil {
		where := Source{Kind: kind, Name: name}.String()
		l.problems = append(l.problems, Problem{Where: where, Key: r.path, What: name + " is not known", Why: r.why, Try: r.try})
		return
	}
	d := l.decoder(kind, name)
	d.value(n, root, field{typ: root.Type()}, "", 0)
	l.problems = append(l.problems, d.problems...)
}

// resolver turns the parts of a variable's or flag's key into a node that holds nothing but that value, spelled as the
// file would spell it. It needs the configuration so far, because names in it are matched loosely.
type resolver struct {
	kind           string
	models         []string // of the agents
	path, why, try string   // of the part that is not known
}

// node resolves parts below v, which may be invalid where nothing exists yet.
func (r *resolver) node(v reflect.Value, f field, path string, parts []string, leaf *yaml.Node) *yaml.Node {
	if len(parts) == 0 {
		return leaf
	}
	t := f.typ
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
		if v.IsValid() {
			v = v.Elem()
		}
	}
	switch {
	case isObject(t):
		return r.inObject(v, t, path, parts, leaf)
	case t.Kind() == reflect.Map:
		return r.inMap(v, f, path, parts, leaf)
	case t.Kind() == reflect.Slice && isObject(t.Elem()):
		return r.inList(v, t, path, parts, leaf)
	}
	return r.unknown(join(path, parts[0]), "there are no keys below "+path, path)
}

func (r *resolver) unknown(path, why, meant string) *yaml.Node {
	r.path, r.why = path, why
	if meant != "" {
		r.try = meant
		if r.kind == FromEnv {
			r.try = VariableFor(meant)
			r.why = strings.ReplaceAll(r.why, meant, r.try)
		}
	}
	return nil
}

func (r *resolver) inObject(v reflect.Value, t reflect.Type, path string, parts []string, leaf *yaml.Node) *yaml.Node {
	f, ok := fieldNamed(t, strings.ToLower(parts[0]))
	if !ok {
		why, meant := advise(path, strings.Join(parts, "."), t)
		if meant == "" && len(parts) > 1 {
			if why, meant = advise(path, parts[0], t); meant != "" {
				why, meant = "there is no such key; the nearest is "+meant, join(meant, strings.ToLower(strings.Join(parts[1:], ".")))
			}
		}
		return r.unknown(join(path, strings.ToLower(parts[0])), why, meant)
	}
	var inner reflect.Value
	if v.IsValid() {
		inner = v.Field(f.index)
	}
	below := r.node(inner, f, join(path, f.name), parts[1:], leaf)
	return wrap(f.name, below)
}

func (r *resolver) inMap(v reflect.Value, f field, path string, parts []string, leaf *yaml.Node) *yaml.Node {
	name, rest := r.mapName(f, parts)
	known := r.known(v, f)
	var fit []string
	for _, key := range known {
		if same(key, name) && !slices.Contains(fit, key) {
			fit = append(fit, key)
		}
	}
	if !slices.Contains(fit, name) {
		switch {
		case len(fit) > 1:
			slices.Sort(fit)
			return r.unknown(join(path, keyPart(name)), "it could mean each of "+strings.Join(fit, ", "), "")
		case len(fit) == 1:
			name = fit[0]
		case r.kind == FromEnv && f.keys == "model":
			r.path, r.why = join(path, keyPart(name)), "no model of that name is configured, and a variable cannot spell a new one"
			r.try = VariableFor(path) + `={"openai/gpt-5-mini":{"window":400000}}`
			return nil
		}
	}
	var inner reflect.Value
	if v.IsValid() {
		inner = v.MapIndex(reflect.ValueOf(name))
	}
	element := field{name: name, typ: f.typ.Elem()}
	return wrap(name, r.node(inner, element, join(path, keyPart(name)), rest, leaf))
}

// known are the names that a part may stand for.
func (r *resolver) known(v reflect.Value, f field) []string {
	var names []string
	if v.IsValid() {
		for _, key := range v.MapKeys() {
			names = append(names, key.String())
		}
	}
	if f.keys == "model" {
		names = append(names, r.models...)
	}
	return names
}

// mapName is the map's key that the first parts spell, and the parts behind it. In a flag, a key may hold dots without
// being quoted: it ends where a known key of the entry begins.
func (r *resolver) mapName(f field, parts []string) (name string, rest []string) {
	name, rest = parts[0], parts[1:]
	switch {
	case r.kind == FromEnv && f.keys == "header":
		return strings.ReplaceAll(name, "_", "-"), rest
	case r.kind == FromEnv && f.keys == "env":
		return name, rest
	case r.kind == FromEnv:
		return strings.ToLower(name), rest
	}
	for i := 1; i < len(parts) && isObject(f.typ.Elem()); i++ {
		if _, ok := fieldNamed(f.typ.Elem(), parts[i]); ok {
			return strings.Join(parts[:i], "."), parts[i:]
		}
	}
	return name, rest
}

func (r *resolver) inList(v reflect.Value, t reflect.Type, path string, parts []string, leaf *yaml.Node) *yaml.Node {
	known, at, count := []string{}, -1, 0
	if v.IsValid() {
		count = v.Len()
	}
	for i := range count {
		name := nameOf(v.Index(i))
		known = append(known, name)
		if same(name, parts[0]) && at < 0 {
			at = i
		}
	}
	if n, err := strconv.Atoi(parts[0]); err == nil && at < 0 && n >= 0 && n <= count {
		at = n
	}
	if at < 0 {
		near, ok := nearest(parts[0], known)
		if !ok {
			return r.unknown(join(path, parts[0]), path+" has "+strconv.Itoa(count)+" elements and none of that name or number", "")
		}
		meant := join(join(path, near), strings.ToLower(strings.Join(parts[1:], ".")))
		return r.unknown(join(path, parts[0]), "nothing in "+path+" has that name; the nearest is "+near, meant)
	}
	var inner reflect.Value
	if at < count {
		inner = v.Index(at)
	}
	index := strconv.Itoa(at)
	n := wrap(index, r.node(inner, field{typ: t.Elem()}, join(path, index), parts[1:], leaf))
	if n != nil {
		n.Tag = tagPatch
	}
	return n
}

// nameOf is the name of a list's element.
func nameOf(v reflect.Value) string {
	for _, field := range []string{"Name", "ID"} {
		if f := v.FieldByName(field); f.IsValid() {
			return f.String()
		}
	}
	return ""
}

func wrap(key string, n *yaml.Node) *yaml.Node {
	if n == nil {
		return nil
	}
	way := mapping(scalar(tagString, key), n)
	way.Tag = tagWay
	return way
}

func fieldNamed(t reflect.Type, name string) (field, bool) {
	for _, f := range fieldsOf(t) {
		if f.name == name {
			return f, true
		}
	}
	return field{}, false
}

// plain is a name as it can be written in a variable: everything but letters and digits is an underscore.
func plain(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, name)
}

func same(a, b string) bool { return strings.EqualFold(plain(a), plain(b)) }
