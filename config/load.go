package config

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"

	"github.com/agentkernel/agentkernel/fault"
	"go.yaml.in/yaml/v3"
)

// DefaultFile is the file that is read from the working directory when no other is named.
const DefaultFile = "config.yaml"

// Options says where to look. The zero value looks where a command would: config.yaml and the process's environment.
type Options struct {
	// Path is the file to read; it must exist. Empty means AK_CONFIG_PATH_OVERRIDE, else [DefaultFile] if there is one.
	Path string
	// Dir is the folder in which [DefaultFile] and relative paths are looked for; empty means the working directory.
	Dir string
	// Env is the environment as "NAME=value"; nil means the process's own.
	Env []string
	// Flags are values by dotted key, as in "api.port" or "agents.assistant.model", over all other sources.
	Flags map[string]string
	// KnownEnv are further variables with the prefix AK_ that are no mistake, because the caller reads them itself.
	KnownEnv []string
}

// loader is one Load under way.
type loader struct {
	cfg      *Config
	opts     Options
	env      map[string]string
	vault    *vault
	problems Problems
}

// Load reads, merges and checks the configuration. An error is a fault.Error of kind Config that wraps [Problems] with
// everything that is wrong. Without any file the defaults hold; they are valid, but [Config.CheckServe] asks for an
// agent.
func Load(o Options) (*Config, error) {
	l := newLoader(o)
	if name, data, ok := l.readFile(); ok {
		l.file(name, data)
	}
	return l.finish()
}

func newLoader(o Options) *loader {
	if o.Env == nil {
		o.Env = os.Environ()
	}
	l := &loader{opts: o, env: map[string]string{}, cfg: &Config{}}
	for _, entry := range o.Env {
		if name, value, ok := strings.Cut(entry, "="); ok {
			l.env[name] = value
		}
	}
	l.vault = &vault{folder: l.inDir(l.env[EnvSecrets])}
	l.cfg.from = origins{at: map[string]Source{}, written: map[string]string{}}
	setDefaults(reflect.ValueOf(l.cfg).Elem())
	return l
}

// finish lays the other sources over the file and checks the whole.
func (l *loader) finish() (*Config, error) {
	l.variables()
	l.flags()
	l.derive()
	c := checker{cfg: l.cfg, before: l.problems}
	c.object(reflect.ValueOf(l.cfg).Elem(), "")
	c.relations()
	all := append(l.problems, c.problems...)
	if len(all) == 0 {
		return l.cfg, nil
	}
	for i := range all {
		p := &all[i]
		p.Try = cmp.Or(p.Try, "remove it, or write it as ak config schema describes it")
		p.Where, p.Key, p.What = l.vault.scrub(p.Where), l.vault.scrub(p.Key), l.vault.scrub(p.What)
		p.Why, p.Try = l.vault.scrub(p.Why), l.vault.scrub(p.Try)
	}
	all = all.tidy()
	return nil, &fault.Error{Op: "config.Load", Kind: fault.Config, Err: all, Try: all[0].Try}
}

func (l *loader) inDir(path string) string {
	if path == "" || l.opts.Dir == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(l.opts.Dir, path)
}

func (l *loader) readFile() (name string, data []byte, ok bool) {
	name, where := l.opts.Path, "the path given"
	if name == "" {
		name, where = l.env[EnvFile], "env "+EnvFile
	}
	optional := name == ""
	if optional {
		name, where = DefaultFile, DefaultFile
	}
	f, err := os.Open(l.inDir(name))
	if optional && errors.Is(err, fs.ErrNotExist) {
		return "", nil, false
	}
	if err == nil {
		data, err = io.ReadAll(io.LimitReader(f, maxFile+1))
		err = errors.Join(err, f.Close())
	}
	switch {
	case err != nil:
		l.add(where, fmt.Sprintf("the file %q cannot be read", name), cause(err).Error(), "name a file that exists and may be read")
	case len(data) > maxFile:
		l.add(where, fmt.Sprintf("the file %q is too large", name), fmt.Sprintf("more than %d bytes", maxFile), "name another file")
	default:
		return name, data, true
	}
	return "", nil, false
}

func (l *loader) add(where, what, why, try string) {
	l.problems = append(l.problems, Problem{Where: where, What: what, Why: why, Try: try})
}

// file lays the YAML text over the defaults.
func (l *loader) file(name string, data []byte) {
	l.cfg.from.file = name
	d := l.decoder(FromFile, name)
	var doc, more yaml.Node
	in := yaml.NewDecoder(strings.NewReader(string(data)))
	err := in.Decode(&doc)
	if errors.Is(err, io.EOF) {
		return // an empty file says nothing
	}
	if err == nil {
		if end := in.Decode(&more); end == nil {
			l.add(fmt.Sprintf("%s:%d", name, more.Line), "a second document begins", "the configuration is one document", "remove the line with ---")
		} else if !errors.Is(end, io.EOF) {
			err = end
		}
	}
	if err != nil {
		where, why := yamlError(name, err)
		l.add(where, "the file is no valid YAML", why, "check the indentation and the quotes there")
		return
	}
	if len(doc.Content) == 1 {
		d.value(doc.Content[0], reflect.ValueOf(l.cfg).Elem(), field{typ: reflect.TypeFor[Config]()}, "", 0)
	}
	l.problems = append(l.problems, d.problems...)
}

func (l *loader) decoder(kind, name string) *decoder {
	return &decoder{from: &l.cfg.from, vault: l.vault, kind: kind, name: name, left: maxNodes}
}

var yamlLine = regexp.MustCompile(`^line (\d+): `)

// yamlError splits the parser's message. The name of an unknown anchor is left out: a password that begins with * looks
// like one.
func yamlError(name string, err error) (where, why string) {
	why = strings.TrimPrefix(err.Error(), "yaml: ")
	if m := yamlLine.FindStringSubmatch(why); m != nil {
		name, why = name+":"+m[1], strings.TrimPrefix(why, m[0])
	}
	if strings.HasPrefix(why, "unknown anchor") {
		why = "something begins with * and refers to nothing; text that begins with * needs quotes"
	}
	return name, why
}
