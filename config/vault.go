package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
)

const maxSecret = 64 << 10 // bytes; a secret is a key or a certificate, not a file tree

var (
	reference  = regexp.MustCompile(`<file:([^<>]*)>`)
	secretName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,255}$`)
)

// vault reads secret files and remembers everything that must not be shown.
type vault struct {
	folder string
	hidden []string
}

// resolve replaces the references in text. names are the files that were read.
func (v *vault) resolve(text string) (full string, names []string, err error) {
	full = reference.ReplaceAllStringFunc(text, func(match string) string {
		name := reference.FindStringSubmatch(match)[1]
		content, e := v.read(name)
		if e != nil {
			err = errors.Join(err, e)
			return match
		}
		names = append(names, name)
		return content
	})
	return full, names, err
}

func (v *vault) read(name string) (string, error) {
	switch {
	case !secretName.MatchString(name) || name == "." || name == "..":
		return "", fmt.Errorf("<file:…> takes the name of a file: letters, digits, dot, dash and underscore, no folders")
	case v.folder == "":
		return "", fmt.Errorf("<file:%s> needs a folder, and AK_SECRETS_PATH is not set", name)
	}
	root, err := os.OpenRoot(v.folder)
	if err != nil {
		return "", fmt.Errorf("the folder of secrets, AK_SECRETS_PATH, cannot be opened: %w", cause(err))
	}
	defer func() { _ = root.Close() }()
	info, err := root.Stat(name)
	if err != nil {
		return "", fmt.Errorf("the secret file %q in AK_SECRETS_PATH cannot be read: %w", name, cause(err))
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("the secret file %q in AK_SECRETS_PATH is no regular file", name)
	}
	f, err := root.Open(name)
	if err != nil {
		return "", fmt.Errorf("the secret file %q in AK_SECRETS_PATH cannot be read: %w", name, cause(err))
	}
	defer func() { _ = f.Close() }()
	content, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("the secret file %q in AK_SECRETS_PATH cannot be read: %w", name, cause(err))
	case len(content) > maxSecret:
		return "", fmt.Errorf("the secret file %q is larger than %d bytes", name, maxSecret)
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r")
	if text == "" {
		return "", fmt.Errorf("the secret file %q is empty", name)
	}
	v.hide(text)
	return text, nil
}

// hide remembers text that no problem may show.
func (v *vault) hide(text string) {
	if text != "" && text != Mask && !slices.Contains(v.hidden, text) {
		v.hidden = append(v.hidden, text)
	}
}

// scrub replaces everything hidden in a message. The messages are written so that there is nothing to replace; this is
// the second lock on the same door.
func (v *vault) scrub(text string) string {
	for _, h := range v.hidden {
		if len(h) >= 4 { // shorter ones would tear words apart, and hide nothing that is worth hiding
			text = strings.ReplaceAll(text, h, Mask)
		}
	}
	return text
}

// cause is a file error without its path, which the message has already.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
