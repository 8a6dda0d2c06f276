package config

import (
	"reflect"
	"strings"
)

// nearest is the candidate that word was probably meant to be, and whether there is one.
func nearest(word string, candidates []string) (string, bool) {
	word = strings.ToLower(word)
	if len(word) > 64 {
		return "", false
	}
	best, distance := "", max(2, len(word)/3)+1
	for _, c := range candidates {
		if d := edits(word, strings.ToLower(c)); d < distance && d < len(c) {
			best, distance = c, d
		}
	}
	return best, best != ""
}

// edits counts the insertions, deletions, replacements and swaps of neighbours that turn a into b.
func edits(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			n := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				n = min(n, rows[i-2][j-2]+1)
			}
			rows[i][j] = n
		}
	}
	return rows[len(a)][len(b)]
}

// names of the keys of a struct type.
func names(t reflect.Type) []string {
	var out []string
	for _, f := range fieldsOf(t) {
		out = append(out, f.name)
	}
	return out
}

// advise says why a key is not known below a path (empty at the top) whose struct is t, and what was probably meant.
// The advice is a dotted path, or empty when the list of known keys in why is the best there is.
func advise(path, key string, t reflect.Type) (why, meant string) {
	known := names(t)
	if near, ok := nearest(key, known); ok {
		return "there is no such key; the nearest is " + join(path, near), join(path, near)
	}
	if there, ok := elsewhere(strings.ToLower(key), reflect.TypeFor[Config](), ""); ok {
		return "there is no such key here; there is " + there, there
	}
	return "there is no such key; known here: " + strings.Join(known, ", "), ""
}

// elsewhere finds a key of exactly that name anywhere in the tree: a right key in the wrong place is a common mistake.
func elsewhere(key string, t reflect.Type, path string) (string, bool) {
	switch {
	case t.Kind() == reflect.Pointer:
		return elsewhere(key, t.Elem(), path)
	case t.Kind() == reflect.Slice && t != rawType:
		return elsewhere(key, t.Elem(), path+".0")
	case t.Kind() == reflect.Map:
		return elsewhere(key, t.Elem(), path+".ID")
	case !isObject(t):
		return "", false
	}
	for _, f := range fieldsOf(t) {
		if f.name == key {
			return join(path, key), true
		}
	}
	for _, f := range fieldsOf(t) {
		if there, ok := elsewhere(key, f.typ, join(path, f.name)); ok {
			return there, true
		}
	}
	return "", false
}
