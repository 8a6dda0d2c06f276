package config

import (
	"reflect"
	"regexp"
	"strings"
)

// Variable describes one environment variable, or many of one form.
type Variable struct {
	// Name is as it is written; <ID>, <NAME> or <HEADER> in it stands for a name of the reader's own, with everything
	// but letters and digits written as an underscore.
	Name    string `json:"name"`
	Key     string `json:"key,omitempty"` // in the file, dotted
	Type    string `json:"type"`          // for people
	Default string `json:"default,omitempty"`
	Doc     string `json:"doc"`

	pattern *regexp.Regexp
}

// Fits reports whether a variable of that name sets this value.
func (v Variable) Fits(name string) bool { return v.pattern.MatchString(name) }

// Variables are all variables AK_SECTION__KEY that [Load] reads, in the order of the fields of [Config].
func Variables() []Variable { return variables(reflect.TypeFor[Config](), nil) }

// stand is what stands for a part of a key that the reader chooses.
func stand(f field) string {
	switch {
	case f.typ.Kind() == reflect.Slice:
		return "<NAME>"
	case f.keys == "header":
		return "<HEADER>"
	}
	return "<ID>"
}

func variables(t reflect.Type, path []string) (all []Variable) {
	for _, f := range fieldsOf(t) {
		at := append(append([]string{}, path...), f.name)
		inner := f.typ
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		container := inner.Kind() == reflect.Map || inner.Kind() == reflect.Slice && inner != rawType
		if container && isObject(inner.Elem()) {
			inner, at = inner.Elem(), append(at, stand(f))
		} else if inner.Kind() == reflect.Map {
			all = append(all, variable(f, append(at, stand(f))))
			continue
		}
		if isObject(inner) {
			all = append(all, variables(inner, at)...)
		} else {
			all = append(all, variable(f, at))
		}
	}
	return all
}

func variable(f field, path []string) Variable {
	var name, pattern []string
	for _, part := range path {
		if strings.HasPrefix(part, "<") {
			name, pattern = append(name, part), append(pattern, "[A-Za-z0-9_]+?")
			continue
		}
		upper := strings.ToUpper(plain(part))
		name, pattern = append(name, upper), append(pattern, regexp.QuoteMeta(upper))
	}
	kind := f.sort()
	if f.typ.Kind() == reflect.Map {
		kind = "text"
	}
	if len(f.enum) > 0 {
		kind = strings.Join(f.enum, " or ")
	}
	return Variable{
		Name: envPrefix + strings.Join(name, "__"), Key: strings.ToLower(strings.Join(path, ".")), Type: kind, Default: f.def, Doc: f.doc,
		pattern: regexp.MustCompile("(?i)^" + envPrefix + strings.Join(pattern, "__") + "$"),
	}
}
