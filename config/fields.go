package config

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// field is what the struct tags of Config say about one key.
type field struct {
	name     string
	index    int
	typ      reflect.Type
	doc      string
	def      string
	hasDef   bool
	enum     []string
	pattern  *regexp.Regexp
	min, max string
	unit     string   // "seconds": a bare number is taken as seconds; "bytes" is for people
	keys     string   // what the keys of a map are, a key of mapKeys
	either   string   // another key: exactly one of the two has to be given
	hidden   bool     // a value that does not fit the pattern may be a secret, and is not quoted
	schemes  []string // a URL's, where it is another one than http and https
	own      bool     // may differ between replicas that are the same otherwise
	required bool
	optional bool // left out of prints while unset
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	secretType   = reflect.TypeFor[Secret]()
	urlType      = reflect.TypeFor[URL]()
	rawType      = reflect.TypeFor[json.RawMessage]()
)

var fieldCache sync.Map // reflect.Type to []field

// fieldsOf reads the tags of a struct type.
func fieldsOf(t reflect.Type) []field {
	if known, ok := fieldCache.Load(t); ok {
		return known.([]field)
	}
	var fields []field
	for i := range t.NumField() {
		if f := t.Field(i); f.IsExported() {
			fields = append(fields, readTags(f, i))
		}
	}
	fieldCache.Store(t, fields)
	return fields
}

func readTags(f reflect.StructField, index int) field {
	tag := f.Tag
	def, hasDef := tag.Lookup("default")
	out := field{
		name: tag.Get("yaml"), index: index, typ: f.Type, doc: tag.Get("doc"), def: def, hasDef: hasDef,
		enum: list(tag.Get("enum")), min: tag.Get("min"), max: tag.Get("max"),
		unit: tag.Get("unit"), schemes: list(tag.Get("schemes")), own: tag.Get("own") == "true", keys: tag.Get("keys"), either: tag.Get("either"), hidden: tag.Get("hidden") == "true",
		required: tag.Get("required") == "true", optional: tag.Get("optional") == "true",
	}
	if p := tag.Get("pattern"); p != "" {
		out.pattern = regexp.MustCompile(p)
	}
	if f.Type == durationType && !hasDef {
		out.optional = true
	}
	return out
}

func list(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

// element is the field of a list's elements: a list of choices has its tags on the list.
func (f field) element() field {
	return field{name: f.name, typ: f.typ.Elem(), enum: f.enum, pattern: f.pattern}
}

// identifier reports whether a value of the field is a fixed choice or a name, in which references to secrets have no
// place.
func (f field) identifier() bool { return f.enum != nil || f.pattern != nil }

func (f field) isText() bool {
	return f.typ == secretType || f.typ == urlType || (f.typ.Kind() == reflect.String && f.typ != rawType)
}

// isScalar reports whether a type is one value, not a struct, list or map.
func isScalar(t reflect.Type) bool {
	switch {
	case t == durationType, t == secretType, t == urlType:
		return true
	case t == rawType:
		return false
	}
	switch t.Kind() {
	case reflect.String, reflect.Bool, reflect.Int, reflect.Int64, reflect.Float64:
		return true
	}
	return false
}

// isObject reports whether a type is a struct with keys of its own.
func isObject(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t != secretType && t != urlType
}

// parse turns text into a value of the field's type, which must be a scalar that holds no text.
func (f field) parse(text string) (reflect.Value, error) {
	switch {
	case f.typ == durationType:
		d, err := f.duration(text)
		return reflect.ValueOf(d), err
	case f.typ.Kind() == reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil || text == "0" || text == "1" {
			return reflect.Value{}, fmt.Errorf("it is neither true nor false")
		}
		return reflect.ValueOf(b), nil
	case f.typ.Kind() == reflect.Float64:
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
			return reflect.Value{}, fmt.Errorf("it is no number, as 0.25 is one")
		}
		return reflect.ValueOf(n), nil
	default:
		n, err := strconv.ParseInt(text, 0, 64)
		if err != nil {
			return reflect.Value{}, fmt.Errorf("it is no whole number")
		}
		return reflect.ValueOf(n).Convert(f.typ), nil
	}
}

func (f field) duration(text string) (time.Duration, error) {
	n, isNumber := strconv.ParseInt(text, 10, 64)
	if isNumber == nil && f.unit == "seconds" {
		if n > int64(longest) || n < -int64(longest) {
			return 0, fmt.Errorf("it is longer than can be counted")
		}
		return time.Duration(n) * time.Second, nil
	}
	d, err := time.ParseDuration(text)
	switch {
	case err == nil:
		return d, nil
	case isNumber == nil:
		return 0, fmt.Errorf("it has no unit")
	}
	return 0, fmt.Errorf("it is a number and a unit: 500ms, 5s, 10m, 24h")
}

const longest = time.Duration(1<<63-1) / time.Second

// example is a value that would be right, for advice.
func (f field) example() string {
	switch {
	case f.hasDef && f.def != "":
		return f.def
	case len(f.enum) > 0:
		return f.enum[0]
	case f.typ == durationType:
		return "30s"
	case len(f.schemes) > 0:
		return f.schemes[0] + "://127.0.0.1/0"
	case f.typ == urlType:
		return "http://127.0.0.1:9001/path"
	case f.typ.Kind() == reflect.Bool:
		return "true"
	case f.typ.Kind() == reflect.Int, f.typ.Kind() == reflect.Int64, f.typ.Kind() == reflect.Float64:
		return "1"
	}
	return `"text"`
}

// sort names the kind of value a field holds.
func (f field) sort() string {
	switch {
	case f.typ == durationType && f.unit == "seconds":
		return "a number of seconds or a duration"
	case f.typ == durationType:
		return "a duration"
	case f.isText():
		return "text"
	case f.typ == rawType:
		return "an object"
	}
	switch f.typ.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a list"
	}
	return "an object"
}

// setDefaults fills a new struct from its tags.
func setDefaults(v reflect.Value) {
	for _, f := range fieldsOf(v.Type()) {
		at := v.Field(f.index)
		switch {
		case isObject(f.typ):
			setDefaults(at)
		case !f.hasDef:
		case f.typ == rawType:
			at.SetBytes([]byte(f.def))
		case f.typ.Kind() == reflect.String:
			at.SetString(f.def)
		case f.typ.Kind() == reflect.Slice: // of text
			at.Set(reflect.ValueOf(list(f.def)))
		default:
			parsed, err := f.parse(f.def)
			if err != nil {
				panic("config: the default of " + f.name + ": " + err.Error()) // a mistake in this package, met by every test
			}
			at.Set(parsed)
		}
	}
}
