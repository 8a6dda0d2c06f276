package schema

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/invopop/jsonschema"
)

// Schema is a JSON Schema as a value that can be changed before it is written.
type Schema = jsonschema.Schema

// For is the schema of T as the arguments of a tool: an object that allows no other properties. Property names come
// from the json tag, a field is required unless it is omitempty or omitzero, and the jsonschema tag adds the rest, as
// in `jsonschema:"description=The city\\, in English,enum=Oslo,enum=Rome"`. T must be a struct, or a map from strings.
func For[T any]() (json.RawMessage, error) {
	return Of(reflect.TypeFor[T]())
}

// Of is [For] of a type that is known only at run time. Pointers to t are looked through.
func Of(t reflect.Type) (json.RawMessage, error) {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil {
		return nil, fmt.Errorf("schema: the arguments have no type; use a struct")
	}
	if t.Kind() != reflect.Struct && (t.Kind() != reflect.Map || t.Key().Kind() != reflect.String) {
		return nil, fmt.Errorf("schema: %s is no object in JSON; use a struct", t)
	}
	s, err := Reflect(t, Options{})
	if err != nil {
		return nil, err
	}
	if s.Type != "object" {
		return nil, fmt.Errorf("schema: %s is written to JSON in its own way and is no object; use a plain struct", t)
	}
	s.Version = ""
	if s.Properties == nil {
		s.Properties = jsonschema.NewProperties() // some providers refuse an object schema without it
	}
	return json.Marshal(s)
}

// Options says how fields are named and described. The zero value follows encoding/json.
type Options struct {
	// Tag is the struct tag that names a field; empty means json.
	Tag string
	// Optional makes no field required by itself; Field may say otherwise.
	Optional bool
	// Map gives types a schema of their own; nil, or a nil answer, leaves a type to the rules of this package.
	Map func(reflect.Type) *Schema
	// Field may change the schema of a field and of the struct that has it; nil changes nothing.
	Field func(f reflect.StructField, name string, field, parent *Schema)
}

// Reflect is the schema of t in one piece.
func Reflect(t reflect.Type, o Options) (s *Schema, err error) {
	if err := supported(t, o, nil); err != nil {
		return nil, err
	}
	defer func() {
		// The library panics on what it does not know. supported keeps it from that; should it miss a case, a tool's
		// declaration must still be an error.
		if r := recover(); r != nil {
			s, err = nil, fmt.Errorf("schema: %s: %v", t, r)
		}
	}()
	r := &jsonschema.Reflector{
		Anonymous:                  true,
		DoNotReference:             true,
		ExpandedStruct:             true,
		FieldNameTag:               o.Tag,
		RequiredFromJSONSchemaTags: o.Optional,
		Mapper:                     func(t reflect.Type) *Schema { return custom(t, o) },
	}
	s = r.ReflectFromType(t)
	s.Definitions = nil
	apply(t, s, o)
	return s, nil
}

// custom is the schema of types that do not look in JSON as they look in Go.
func custom(t reflect.Type, o Options) *Schema {
	if o.Map != nil {
		if s := o.Map(t); s != nil {
			return s
		}
	}
	switch {
	case t == reflect.TypeFor[time.Time]():
		return &Schema{Type: "string", Format: "date-time"}
	case t == reflect.TypeFor[json.Number]():
		return &Schema{Type: "number"}
	case t == reflect.TypeFor[json.RawMessage]() || t.Kind() == reflect.Interface:
		return &Schema{}
	case implements[json.Marshaler](t):
		return &Schema{} // it may write anything
	case implements[encoding.TextMarshaler](t):
		return &Schema{Type: "string"}
	}
	return nil
}

func implements[I any](t reflect.Type) bool {
	i := reflect.TypeFor[I]()
	return t.Implements(i) || (t.Kind() != reflect.Pointer && reflect.PointerTo(t).Implements(i))
}

// supported reports the first thing in t that has no schema. The path is the structs being looked at, outermost first.
func supported(t reflect.Type, o Options, path []reflect.Type) error {
	if t.Kind() == reflect.Pointer {
		return supported(t.Elem(), o, path)
	}
	if custom(t, o) != nil {
		return nil
	}
	switch t.Kind() {
	case reflect.Slice, reflect.Array:
		return nested(t, t.Elem(), o, path)
	case reflect.Map:
		if k := t.Key().Kind(); k != reflect.String && !(k >= reflect.Int && k <= reflect.Int64) {
			return fmt.Errorf("schema: %s: a map must have keys of text or whole numbers", t)
		}
		return nested(t, t.Elem(), o, path)
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			if !visible(f, o) {
				continue
			}
			if err := nested(t, f.Type, o, path); err != nil {
				return fmt.Errorf("%w (field %s of %s)", err, f.Name, t)
			}
		}
	case reflect.Chan, reflect.Func, reflect.Complex64, reflect.Complex128, reflect.UnsafePointer, reflect.Invalid,
		reflect.Uintptr:
		return fmt.Errorf("schema: JSON cannot carry a %s", t)
	}
	return nil
}

func nested(outer, inner reflect.Type, o Options, path []reflect.Type) error {
	for _, seen := range path {
		if seen == outer {
			return fmt.Errorf("schema: %s contains itself; give it an end, or carry it as json.RawMessage", outer)
		}
	}
	return supported(inner, o, append(path, outer))
}

// visible reports whether JSON sees a field.
func visible(f reflect.StructField, o Options) bool {
	name, _, _ := strings.Cut(f.Tag.Get(o.tag()), ",")
	return name != "-" && (f.IsExported() || f.Anonymous)
}

func (o Options) tag() string {
	if o.Tag == "" {
		return "json"
	}
	return o.Tag
}

// apply calls o.Field for every field of every struct in t. It goes by type and schema side by side, which works
// because schemas are in one piece.
func apply(t reflect.Type, s *Schema, o Options) {
	if o.Field == nil || s == nil {
		return
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if custom(t, o) != nil {
		return
	}
	switch t.Kind() {
	case reflect.Slice, reflect.Array:
		apply(t.Elem(), s.Items, o)
	case reflect.Map:
		apply(t.Elem(), s.AdditionalProperties, o)
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get(o.tag()), ",")
			if name == "" {
				name = f.Name
			}
			if field, ok := s.Properties.Get(name); ok && visible(f, o) {
				apply(f.Type, field, o)
				o.Field(f, name, field, s)
			}
		}
	}
}
