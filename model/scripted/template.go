package scripted

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// scope is what a template may refer to when it is checked, and what the references stand for when it is expanded.
type scope struct {
	when   *regexp.Regexp
	recall *regexp.Regexp
	called bool // a stage before this one calls tools

	match    []string // of when
	recalled []string // of recall
	results  []string
	files    []string // names
	text     string
	first    string
	turn     int
}

// template is a text with references, cut into pieces.
type template []piece

// piece is literal text, or a reference if name is not empty.
type piece struct {
	lit  string
	name string
	n    int // the number after the dot, or of a numbered group
}

// parseTemplate cuts text into pieces and checks every reference against s.
func parseTemplate(text string, s *scope) (template, error) {
	var t template
	lit := func(v string) {
		if v != "" {
			t = append(t, piece{lit: v})
		}
	}
	for {
		i := strings.Index(text, "${")
		if i < 0 {
			lit(text)
			return t, nil
		}
		if i > 0 && text[i-1] == '$' { // $${ is a plain ${
			lit(text[:i-1] + "${")
			text = text[i+2:]
			continue
		}
		lit(text[:i])
		name, rest, ok := strings.Cut(text[i+2:], "}")
		if !ok {
			return nil, fmt.Errorf("%q has no closing brace", text[i:])
		}
		p, err := s.resolve(name)
		if err != nil {
			return nil, err
		}
		t = append(t, p)
		text = rest
	}
}

// resolve turns the inside of ${…} into a piece, or says why it cannot stand for anything.
func (s *scope) resolve(ref string) (piece, error) {
	base, num, dotted := strings.Cut(ref, ".")
	n := 0
	if dotted {
		v, err := strconv.Atoi(num)
		if err != nil || v < 0 {
			return piece{}, fmt.Errorf("${%s}: %q is not a number", ref, num)
		}
		n = v
	}
	switch base {
	case "result":
		if !s.called {
			return piece{}, fmt.Errorf("${%s}: no tool is called before this stage", ref)
		}
		if dotted && n == 0 {
			return piece{}, fmt.Errorf("${%s}: results are counted from 1", ref)
		}
		return piece{name: "result", n: n}, nil
	case "files":
		if dotted && n == 0 {
			return piece{}, fmt.Errorf("${%s}: files are counted from 1", ref)
		}
		return piece{name: "files", n: n}, nil
	case "recall":
		if s.recall == nil {
			return piece{}, fmt.Errorf("${%s}: the rule has no \"recall\"", ref)
		}
		if n > s.recall.NumSubexp() {
			return piece{}, fmt.Errorf("${%s}: \"recall\" has %d groups", ref, s.recall.NumSubexp())
		}
		return piece{name: "recall", n: n}, nil
	case "text", "first", "turn":
		if !dotted {
			return piece{name: base}, nil
		}
	}
	return s.group(ref)
}

// group resolves a reference to a numbered or named group of "when".
func (s *scope) group(ref string) (piece, error) {
	if s.when == nil {
		return piece{}, fmt.Errorf("${%s} is not known here", ref)
	}
	n, err := strconv.Atoi(ref)
	if err != nil {
		if n = s.when.SubexpIndex(ref); n < 0 {
			return piece{}, fmt.Errorf("${%s} is neither a known word nor a group of \"when\"", ref)
		}
	}
	if n < 0 || n > s.when.NumSubexp() {
		return piece{}, fmt.Errorf("${%s}: \"when\" has %d groups", ref, s.when.NumSubexp())
	}
	return piece{name: "when", n: n}, nil
}

func (t template) expand(s *scope) string {
	var b strings.Builder
	for _, p := range t {
		b.WriteString(p.expand(s))
	}
	return b.String()
}

func (p piece) expand(s *scope) string {
	at := func(list []string, i int) string {
		if i < len(list) {
			return list[i]
		}
		return ""
	}
	switch p.name {
	case "":
		return p.lit
	case "when":
		return at(s.match, p.n)
	case "recall":
		return at(s.recalled, p.n)
	case "result":
		if p.n == 0 {
			return strings.Join(s.results, "\n")
		}
		return at(s.results, p.n-1)
	case "files":
		if p.n == 0 {
			return strings.Join(s.files, ", ")
		}
		return at(s.files, p.n-1)
	case "first":
		return s.first
	case "turn":
		return strconv.Itoa(s.turn)
	}
	return s.text
}

// parseArgs replaces every string in v, at any depth, by its parsed template.
func parseArgs(v any, s *scope) (any, error) {
	switch v := v.(type) {
	case string:
		return parseTemplate(v, s)
	case map[string]any:
		out := make(map[string]any, len(v))
		for _, k := range sortedKeys(v) {
			parsed, err := parseArgs(v[k], s)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", k, err)
			}
			out[k] = parsed
		}
		return out, nil
	case []any:
		out := make([]any, len(v))
		for i := range v {
			parsed, err := parseArgs(v[i], s)
			if err != nil {
				return nil, fmt.Errorf("[%d]: %w", i, err)
			}
			out[i] = parsed
		}
		return out, nil
	}
	return v, nil
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys) // so that of several mistakes always the same one is reported
	return keys
}

// expandArgs is the inverse of parseArgs, with the references replaced.
func expandArgs(v any, s *scope) any {
	switch v := v.(type) {
	case template:
		return v.expand(s)
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = expandArgs(e, s)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = expandArgs(v[i], s)
		}
		return out
	}
	return v
}
