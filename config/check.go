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
			c.value(v.Index(i), field{typ: f.typ.Elem()}, join(path, strconv.Itoa(i)))
		}
	case f.typ.Kind() == reflect.Map:
		for _, key := range v.MapKeys() {
			c.value(v.MapIndex(key), field{typ: f.typ.Elem()}, join(path, key.String()))
		}
	}
}

func (c *checker) scalar(v reflect.Value, f field, path string) {
	if f.required && v.IsZero() {
		state := "is missing"
		if c.cfg.isSet(path) {
			state = "is empty"
		}
		c.report(path, state, "it has to be given", lastPart(path)+": "+f.example())
		return
	}
	if !c.cfg.isSet(path) {
		return
	}
	switch {
	case f.enum != nil:
		c.choice(v.String(), f, path)
	case f.pattern != nil && !f.pattern.MatchString(v.String()):
		c.report(path, fmt.Sprintf("is %q", v.String()), patternWords(f), lastPart(path)+": "+patternExample(f, v.String()))
	case f.min != "" || f.max != "":
		c.bounds(v, f, path)
	}
}

func patternWords(f field) string {
	if f.name == "model" {
		return "it must be a provider's id, a slash and a model, without spaces"
	}
	return "a name has 1 to 64 letters, digits, dashes and underscores"
}

func patternExample(f field, got string) string {
	if f.name == "model" {
		return "openai/gpt-5-mini"
	}
	if near := plain(got); f.pattern.MatchString(near) {
		return near
	}
	return "my_" + f.name
}

func (c *checker) choice(got string, f field, path string) {
	all := strings.Join(f.enum, ", ")
	switch near, ok := nearest(got, f.enum); {
	case slices.Contains(f.enum, got):
	case slices.Contains(f.later, got):
		c.report(path, fmt.Sprintf("is %q", got), got+" is not in this build yet; this build has: "+all, lastPart(path)+": "+f.example())
	case ok:
		c.report(path, fmt.Sprintf("is %q", got), "it must be one of "+all, lastPart(path)+": "+near)
	default:
		c.report(path, fmt.Sprintf("is %q", got), "it must be one of "+all, lastPart(path)+": "+f.example())
	}
}

// bounds checks numbers and durations.
func (c *checker) bounds(v reflect.Value, f field, path string) {
	bound := func(text string) (int64, bool) {
		if text == "" {
			return 0, false
		}
		limit, err := f.parse(text)
		return limit.Int(), err == nil
	}
	shown := func(n int64) string {
		if f.typ == durationType {
			return short(time.Duration(n))
		}
		return strconv.FormatInt(n, 10)
	}
	got := v.Int()
	if low, ok := bound(f.min); ok && got < low {
		c.report(path, "is "+shown(got), "it must be at least "+shown(low), lastPart(path)+": "+f.example())
	}
	if high, ok := bound(f.max); ok && got > high {
		c.report(path, "is "+shown(got), "it must be at most "+shown(high), lastPart(path)+": "+f.example())
	}
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
