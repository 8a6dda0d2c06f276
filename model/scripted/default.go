package scripted

import (
	_ "embed" // the default script is a file, so that it can be read, copied and changed
	"sync"
)

//go:embed default.json
var defaultJSON []byte

var parseDefault = sync.OnceValue(func() *Player {
	s, err := Parse(defaultJSON)
	if err != nil {
		panic(err) // the file is part of the build and a test parses it
	}
	p, err := NewPlayer(*s)
	if err != nil {
		panic(err)
	}
	p.builtin = true
	return p
})

// DefaultScript is the built-in script as JSON: it greets, remembers a name and what was said first, and uses the tools
// charge_card {order, amount} and get_weather {city}. It names the files that it is sent, and
// says everything else back. An answer that shall fit a schema is an object with these words in it.
func DefaultScript() []byte { return append([]byte(nil), defaultJSON...) }

// DefaultPlayer plays the built-in script.
func DefaultPlayer() *Player { return parseDefault() }
