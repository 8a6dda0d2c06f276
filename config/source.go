package config

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// Kinds of source, in the order in which they are laid over each other.
const (
	FromDefault = "default"
	FromFile    = "file"
	FromEnv     = "env"
	FromFlag    = "flag"
)

// Source is where a value came from.
type Source struct {
	Kind   string // FromDefault, FromFile, FromEnv or FromFlag
	Name   string // the file's path, the variable's name or the flag's key; empty for defaults
	Line   int    // the line in the file, counted from 1; 0 elsewhere
	Secret string // the secret files that were read into the value, separated by ", "; empty when there were none
}

// String is the source as problems and prints show it: "default", "config.yaml:7", "env AK_API__PORT", "flag api.port".
func (s Source) String() string {
	text := s.Kind
	switch s.Kind {
	case FromFile:
		text = s.Name
		if s.Line > 0 {
			text += ":" + strconv.Itoa(s.Line)
		}
	case FromEnv, FromFlag:
		text += " " + s.Name
	case "":
		text = FromDefault
	}
	if s.Secret != "" {
		text += ", secret " + s.Secret
	}
	return text
}

// origins knows where the values of one Config came from. Paths are dotted: "api.port", "tools.0.http.url".
type origins struct {
	at       map[string]Source
	written  map[string]string // text as it was written, where a reference to a secret file was replaced in it
	warnings []string
	file     string
}

// Source is where the value at a dotted path ("api.port", "agents.0.model") came from. A path that nothing set is a
// default.
func (c *Config) Source(path string) Source {
	if s, ok := c.from.at[path]; ok {
		return s
	}
	return Source{Kind: FromDefault}
}

// Warnings are findings that do not keep the process from starting, one sentence each.
func (c *Config) Warnings() []string { return append([]string(nil), c.from.warnings...) }

// File is the path of the file that was read; empty when there was none.
func (c *Config) File() string { return c.from.file }

// set remembers the source of a path.
func (o *origins) set(path string, s Source) { o.at[path] = s }

// forget drops everything known about a path and what is below it, before a later source replaces it as a whole.
func (o *origins) forget(path string) {
	for p := range o.at {
		if p == path || strings.HasPrefix(p, path+".") {
			delete(o.at, p)
			delete(o.written, p)
		}
	}
}

// near is the source of path, or of the closest thing around it that has one: where to look for a value that is not
// there.
func (o *origins) near(path string) Source {
	for {
		if s, ok := o.at[path]; ok {
			return s
		}
		i := strings.LastIndexByte(path, '.')
		if i < 0 {
			break
		}
		path = path[:i]
	}
	if o.file != "" {
		return Source{Kind: FromFile, Name: o.file}
	}
	return Source{Kind: FromDefault}
}

// Problem is one thing that is wrong with the configuration. No part of it quotes a secret.
type Problem struct {
	Where string // file:line, "env NAME", "flag KEY" or "default"
	Key   string // the dotted path of the value; empty when there is none
	What  string // what is wrong, with the key
	Why   string // why that is wrong
	Try   string // what to do
}

func (p Problem) String() string {
	text := p.Where + ": " + p.What
	if p.Why != "" {
		text += ": " + p.Why
	}
	if p.Try != "" {
		text += "\n    Try: " + p.Try
	}
	return text
}

// Problems is everything that is wrong with a configuration. [Load] returns it inside a fault.Error of kind Config; use
// errors.As to get at it.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p), len(p)+1)
	for i := range p {
		lines[i] = p[i].String()
	}
	if len(p) == 1 {
		return lines[0]
	}
	return fmt.Sprintf("%d problems in the configuration\n  ", len(p)) +
		strings.ReplaceAll(strings.Join(lines, "\n"), "\n", "\n  ")
}

// tidy orders problems by place and drops repetitions: one mistake can be met on two ways.
func (p Problems) tidy() Problems {
	sort.SliceStable(p, func(i, j int) bool { return lineOf(p[i].Where) < lineOf(p[j].Where) })
	seen := map[Problem]bool{}
	kept := p[:0]
	for _, one := range p {
		if !seen[one] {
			seen[one] = true
			kept = append(kept, one)
		}
	}
	return kept
}

// lineOf is the line in a place, so that problems of a file come in its order, before those of other sources.
func lineOf(where string) int {
	_, after, _ := strings.Cut(where, ":")
	digits, _, _ := strings.Cut(after, ",")
	if n, err := strconv.Atoi(digits); err == nil {
		return n
	}
	return 1 << 30
}
