package config

import (
	"reflect"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// scalar decodes one value that is no object and no list.
func (d *decoder) scalar(n *yaml.Node, v reflect.Value, f field, path string) {
	try := setting(path, f.example())
	if n.Kind != yaml.ScalarNode {
		d.problem(n, path, "is not "+f.sort(), "it is "+describe(n), try)
		return
	}
	if isNull(n) {
		d.problem(n, path, "has no value", "a key without a value says nothing", try+", or remove the key")
		return
	}
	if f.isText() {
		d.text(n, v, f, path)
		return
	}
	if !f.accepts(n) {
		why := "it is " + describe(n)
		if f.typ == durationType && n.ShortTag() == tagInt {
			why = "it has no unit"
		}
		d.problem(n, path, "is not "+f.sort(), why, try)
		return
	}
	value, err := f.parse(n.Value)
	if err != nil {
		d.problem(n, path, "is not "+f.sort(), err.Error(), try)
		return
	}
	v.Set(value)
	d.mark(path, n)
}

// accepts reports whether a YAML scalar is of the sort the field holds. Text of a variable or flag always may be.
func (f field) accepts(n *yaml.Node) bool {
	switch tag := n.ShortTag(); {
	case tag == tagLoose:
		return true
	case f.typ == durationType:
		return tag == tagString || tag == tagInt && f.unit == "seconds"
	case f.typ.Kind() == reflect.Bool:
		return tag == tagBool
	case f.typ.Kind() == reflect.Float64:
		return tag == tagInt || tag == tagFloat
	default:
		return tag == tagInt
	}
}

// text decodes text, a secret or a URL, and replaces references to secret files in it.
func (d *decoder) text(n *yaml.Node, v reflect.Value, f field, path string) {
	tag := n.ShortTag()
	if tag != tagString && tag != tagLoose {
		d.problem(n, path, "is not text", "YAML reads it as "+describe(n), "put it in quotes")
		return
	}
	if f.typ == secretType && n.Value == Mask {
		d.problem(n, path, "is masked", "it was copied from a print, which hides secrets", "write the secret, or <file:NAME>")
		return
	}
	full, files, err := n.Value, []string(nil), error(nil)
	switch {
	case !reference.MatchString(n.Value):
	case f.identifier():
		d.problem(n, path, "refers to a secret", "a name or a fixed choice is no secret", "write it out")
		return
	default:
		if full, files, err = d.vault.resolve(n.Value); err != nil {
			for _, line := range strings.Split(err.Error(), "\n") {
				d.problem(n, path, "cannot be read", line, "set AK_SECRETS_PATH to the folder that holds the file")
			}
			return
		}
	}
	if !utf8.ValidString(full) || strings.ContainsRune(full, 0) {
		d.problem(n, path, "is not text", "it holds bytes that are no UTF-8", "write it in UTF-8")
		return
	}
	if f.hidden && !f.pattern.MatchString(full) {
		d.vault.hide(full)
	}
	d.store(v, f, full, n.Value)
	s := d.source(n)
	s.Secret = strings.Join(files, ", ")
	d.from.set(path, s)
	delete(d.from.written, path)
	if len(files) > 0 && f.typ.Kind() == reflect.String {
		d.from.written[path] = n.Value
	}
}

func (d *decoder) store(v reflect.Value, f field, full, written string) {
	switch f.typ {
	case secretType:
		d.vault.hide(full)
		v.Set(reflect.ValueOf(NewSecret(full)))
	case urlType:
		for _, password := range passwordsIn(full) {
			d.vault.hide(password)
		}
		v.Set(reflect.ValueOf(newURL(full, written)))
	default:
		v.SetString(full)
	}
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == tagNull }

// describe names what a node is, without quoting it: it may hold a secret.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "an object"
	case yaml.SequenceNode:
		return "a list"
	}
	switch tag := n.ShortTag(); tag {
	case tagString, tagLoose:
		return "text"
	case tagInt:
		return "a whole number"
	case tagFloat:
		return "a number"
	case tagBool:
		return "true or false"
	case tagNull:
		return "empty"
	case "!!timestamp":
		return "a date"
	}
	return "a value with a YAML tag"
}
