package config

import (
	"strconv"
	"strings"
)

// Paths name values: "api.port", "tools.0.http.url". A key of a map that holds a dot is quoted in them, as in
// models."openai/gpt-4.1".window, so that no two values have one path.

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// keyPart is a map's key as a part of a path.
func keyPart(key string) string {
	if key == "" || strings.ContainsAny(key, `."`) {
		return strconv.Quote(key)
	}
	return key
}

// splitPath undoes join. A part that only looks quoted is taken as it is.
func splitPath(path string) []string {
	var parts []string
	for {
		if quoted, err := strconv.QuotedPrefix(path); err == nil && strings.HasPrefix(path, `"`) {
			rest := path[len(quoted):]
			if part, err := strconv.Unquote(quoted); err == nil && (rest == "" || rest[0] == '.') {
				parts = append(parts, part)
				if rest == "" {
					return parts
				}
				path = rest[1:]
				continue
			}
		}
		part, rest, more := strings.Cut(path, ".")
		parts = append(parts, part)
		if !more {
			return parts
		}
		path = rest
	}
}

func lastPart(path string) string {
	parts := splitPath(path)
	return parts[len(parts)-1]
}

// setting is a line that would set the value at a path; an element of a list is its value alone.
func setting(path, value string) string {
	name := lastPart(path)
	if _, err := strconv.Atoi(name); err == nil {
		return value
	}
	return name + ": " + value
}
