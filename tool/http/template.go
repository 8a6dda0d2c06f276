package httptool

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// keyName is the placeholder for the call's idempotency key.
const keyName = "idempotency_key"

var placeholder = regexp.MustCompile(`\{([A-Za-z0-9_.-]+)\}`)

// template is a URL with placeholders behind its host.
type template struct {
	text  string
	names []string // of its placeholders
}

// newTemplate checks that text is an http or https URL in which no argument can change where a request goes.
func newTemplate(text string) (template, error) {
	t := template{text: text}
	for _, m := range placeholder.FindAllStringSubmatch(text, -1) {
		t.names = append(t.names, m[1])
	}
	if strings.ContainsAny(placeholder.ReplaceAllString(text, ""), "{}") {
		return t, errors.New("a { or } stands alone")
	}
	u, err := url.Parse(placeholder.ReplaceAllString(text, "x"))
	if err != nil {
		return t, errors.New("it cannot be read as a URL") // the parser's text holds the URL, and that a password
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		return t, errors.New("it is no absolute http or https URL")
	case strings.Contains(text, "#"):
		return t, errors.New("what follows # is never sent")
	}
	_, rest, _ := strings.Cut(text, "://")
	end := strings.IndexAny(rest, "/?")
	if at := strings.IndexByte(rest, '{'); strings.HasPrefix(text, "{") || at >= 0 && (end < 0 || at < end) {
		return t, errors.New("a placeholder stands before the path")
	}
	return t, nil
}

// expand replaces the placeholders, each escaped for the place where it stands.
func (t template) expand(values map[string]any, key string) (*url.URL, error) {
	var out strings.Builder
	last := 0
	query := strings.IndexByte(t.text, '?')
	for _, m := range placeholder.FindAllStringSubmatchIndex(t.text, -1) {
		name := t.text[m[2]:m[3]]
		value, err := valueOf(values, name, key)
		if err != nil {
			return nil, err
		}
		escaped := url.PathEscape(value)
		if query >= 0 && m[0] > query {
			escaped = url.QueryEscape(value)
		} else if value == "" {
			return nil, fmt.Errorf("argument %q is empty, and the tool's address is made of it", name)
		}
		out.WriteString(t.text[last:m[0]] + escaped)
		last = m[1]
	}
	out.WriteString(t.text[last:])
	u, err := url.Parse(out.String())
	if err != nil {
		return nil, errors.New("the arguments make no valid address")
	}
	if len(t.names) > 0 {
		for _, segment := range strings.Split(u.Path, "/") { // servers read them as "here" and "one up"
			if segment == "." || segment == ".." {
				return nil, errors.New("the arguments would make an address outside the tool's own")
			}
		}
	}
	return u, nil
}

// valueOf is the text that stands for a placeholder.
func valueOf(values map[string]any, name, key string) (string, error) {
	if name == keyName {
		return key, nil
	}
	value, ok := values[name]
	if !ok || value == nil {
		return "", fmt.Errorf("argument %q is missing, and the tool's address is made of it", name)
	}
	text, ok := plain(value)
	if !ok {
		return "", fmt.Errorf("argument %q must be a text, a number or a truth value to stand in an address", name)
	}
	return text, nil
}

// plain is a scalar as text.
func plain(value any) (string, bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return fmt.Sprint(v), true
	}
	return "", false
}

// addQuery adds the arguments that the template does not name. A list becomes a repeated value, an object JSON.
func (t template) addQuery(u *url.URL, values map[string]any) error {
	q := url.Values{}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if slices.Contains(t.names, name) || values[name] == nil {
			continue
		}
		list, ok := values[name].([]any)
		if !ok {
			list = []any{values[name]}
		}
		for _, v := range list {
			text, ok := plain(v)
			if !ok {
				b, err := json.Marshal(v)
				if err != nil {
					return fmt.Errorf("argument %q: %w", name, err)
				}
				text = string(b)
			}
			q.Add(name, text)
		}
	}
	if len(q) == 0 {
		return nil
	}
	if u.RawQuery != "" {
		u.RawQuery += "&"
	}
	u.RawQuery += q.Encode()
	return nil
}

// secrets are the parts of the URL that may be secret: its password, and the fixed query values of the names that count.
func (t template) secrets(counts func(name string) bool) []string {
	u, err := url.Parse(placeholder.ReplaceAllString(t.text, "x"))
	if err != nil {
		return nil
	}
	var all []string
	if u.User != nil {
		password, _ := u.User.Password()
		inHeader := base64.StdEncoding.EncodeToString([]byte(u.User.Username() + ":" + password))
		all = append(all, password, url.QueryEscape(password), inHeader)
	}
	_, query, _ := strings.Cut(t.text, "?")
	for _, pair := range strings.Split(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if len(value) < 8 || strings.Contains(value, "{") || !counts(name) {
			continue
		}
		all = append(all, value)
		if plain, err := url.QueryUnescape(value); err == nil {
			all = append(all, plain)
		}
	}
	return all
}

// decodeArgs reads a call's arguments; none are an empty object.
func decodeArgs(raw json.RawMessage) (json.RawMessage, map[string]any, error) {
	if trimmed := bytes.TrimSpace(raw); len(trimmed) == 0 || string(trimmed) == "null" {
		raw = json.RawMessage("{}")
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber() // a large number keeps its digits
	var values map[string]any
	if err := d.Decode(&values); err != nil {
		return nil, nil, errors.New("the arguments are no JSON object")
	}
	return raw, values, nil
}
