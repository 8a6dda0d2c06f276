package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// checker looks at the merged configuration. What the tags say is checked by object and scalar, what relates several
// values to each other by relations.
type checker struct {
	cfg      *Config
	before   Problems // found while reading
	problems Problems
}

// report adds a problem, unless the value could not even be read: then it has one already.
func (c *checker) report(path, what, why, try string) {
	for _, p := range c.before {
		if p.Key != "" && (p.Key == path || strings.HasPrefix(path, p.Key+".")) {
			return
		}
	}
	c.problems = append(c.problems, Problem{
		Where: c.cfg.from.near(path).String(), Key: path, What: path + " " + what, Why: why, Try: try,
	})
}

// unread reports whether anything below a section could not be read, so that what refers to it cannot be judged.
func (c *checker) unread(section string) bool {
	return slices.ContainsFunc(c.before, func(p Problem) bool {
		return p.Key == "" || p.Key == section || strings.HasPrefix(p.Key, section+".")
	})
}

func (c *checker) object(v reflect.Value, path string) {
	for _, f := range fieldsOf(v.Type()) {
		c.value(v.Field(f.index), f, join(path, f.name))
		if f.either != "" {
			c.either(v, f, path)
		}
	}
}

// either checks that exactly one of two keys is given.
func (c *checker) either(v reflect.Value, f field, path string) {
	other, _ := fieldNamed(v.Type(), f.either)
	given := func(f field) bool {
		at := v.Field(f.index)
		return !at.IsZero() && (at.Kind() != reflect.Slice || at.Len() > 0)
	}
	switch {
	case given(f) && given(other):
		c.report(join(path, other.name), "comes beside "+f.name, "only one of them can be meant", "remove one of them")
	case !given(f) && !given(other):
		at, state := join(path, f.name), "is missing"
		for _, written := range []string{join(path, other.name), join(path, f.name)} {
			if c.cfg.isSet(written) {
				at, state = written, "is empty"
			}
		}
		c.report(at, state, "there must be "+f.name+" or "+other.name, "add one of them")
	}
}

func (c *checker) value(v reflect.Value, f field, path string) {
	switch {
	case isScalar(f.typ):
		c.scalar(v, f, path)
	case isObject(f.typ):
		c.object(v, path)
	case f.typ == rawType:
	case f.typ.Kind() == reflect.Pointer:
		if !v.IsNil() {
			c.object(v.Elem(), path)
		}
	case f.typ.Kind() == reflect.Slice:
		for i := range v.Len() {
			c.value(v.Index(i), f.element(), join(path, strconv.Itoa(i)))
		}
	case f.typ.Kind() == reflect.Map:
		for _, key := range v.MapKeys() {
			c.value(v.MapIndex(key), field{typ: f.typ.Elem()}, join(path, keyPart(key.String())))
		}
	}
}

func (c *checker) scalar(v reflect.Value, f field, path string) {
	if f.required && v.IsZero() {
		state := "is missing"
		if c.cfg.isSet(path) {
			state = "is empty"
		}
		c.report(path, state, "it has to be given", setting(path, f.example()))
		return
	}
	if !c.cfg.isSet(path) {
		return
	}
	switch {
	case f.enum != nil:
		c.choice(v.String(), f, path)
	case f.pattern != nil && !f.pattern.MatchString(v.String()):
		c.shape(v.String(), f, path)
	case f.min != "" || f.max != "":
		c.bounds(v, f, path)
	}
}

// shape reports text that does not fit its pattern.
func (c *checker) shape(got string, f field, path string) {
	what := fmt.Sprintf("is %q", got)
	if f.hidden {
		what = "is no " + f.name
	}
	why, try := "a name has 1 to 64 letters, digits, dashes and underscores", "my_"+f.name
	switch f.name {
	case "model":
		why, try = "it must be a provider's id, a slash and a model, without spaces", "openai/gpt-5-mini"
	case "hash":
		why, try = "it must be sha256: and 64 small hex digits; a key itself never stands here", "sha256:…, which ak auth key makes together with a new key"
	case "region":
		why, try = "a region has small letters, digits and dashes", "us-east-1"
	case "zone":
		why, try = "a zone has up to 64 letters, digits and _.:/-", "eu-central-1a"
	case "prefix":
		why, try = "a prefix has 1 to 128 letters, digits and _.:/-", "ak:sessions:"
	case "table_name":
		why, try = "a table's name has 3 to 255 letters, digits, dots, dashes and underscores", "agentkernel"
	case "schema":
		why, try = "a schema has up to 63 small letters, digits and underscores, and begins with no digit", "agentkernel"
	case "tenant":
		why = "a tenant has letters, digits and -._:@+=, and begins with no dot"
	}
	if near := plain(got); !f.hidden && f.pattern.MatchString(near) {
		try = near
	}
	c.report(path, what, why, setting(path, try))
}

func (c *checker) choice(got string, f field, path string) {
	all := strings.Join(f.enum, ", ")
	switch near, ok := nearest(got, f.enum); {
	case slices.Contains(f.enum, got):
	case f.name == "algorithms" && symmetric(got):
		c.report(path, fmt.Sprintf("is %q", got), "who can check such a token could also make one; it must be one of "+all, setting(path, f.enum[0]))
	case ok:
		c.report(path, fmt.Sprintf("is %q", got), "it must be one of "+all, setting(path, near))
	default:
		c.report(path, fmt.Sprintf("is %q", got), "it must be one of "+all, setting(path, f.example()))
	}
}

// symmetric reports whether a signature needs no private key: a shared secret, or nothing at all.
func symmetric(algorithm string) bool {
	algorithm = strings.ToLower(algorithm)
	return algorithm == "none" || strings.HasPrefix(algorithm, "hs")
}

// bounds checks numbers and durations.
func (c *checker) bounds(v reflect.Value, f field, path string) {
	got := v
	if low, err := f.parse(f.min); err == nil && below(got, low) {
		c.report(path, "is "+f.shown(got), "it must be at least "+f.shown(low), setting(path, f.example()))
	}
	if high, err := f.parse(f.max); err == nil && below(high, got) {
		c.report(path, "is "+f.shown(got), "it must be at most "+f.shown(high), setting(path, f.example()))
	}
}

// below compares two numbers of one sort.
func below(a, b reflect.Value) bool {
	if a.Kind() == reflect.Float64 {
		return a.Float() < b.Float()
	}
	return a.Int() < b.Int()
}

func (f field) shown(v reflect.Value) string {
	switch {
	case f.typ == durationType:
		return short(time.Duration(v.Int()))
	case v.Kind() == reflect.Float64:
		return strconv.FormatFloat(v.Float(), 'g', -1, 64)
	}
	return strconv.FormatInt(v.Int(), 10)
}

// short is a duration without the zero parts that time.Duration prints.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
