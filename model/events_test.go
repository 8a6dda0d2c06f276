package model

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func readAll(r io.Reader) (all []string, err error) {
	e := NewEvents(r)
	for {
		data, err := e.Next()
		if err != nil {
			return all, err
		}
		all = append(all, string(data))
	}
}

func TestEventsAreReadHoweverTheyArrive(t *testing.T) {
	cases := []struct{ name, in, want string }{
		{"plain", "data: a\n\ndata: b\n\n", "a|b"},
		{"no space", "data:a\n\n", "a"},
		{"two spaces", "data:  a\n\n", " a"},
		{"many lines", "data: a\ndata: b\n\n", "a\nb"},
		{"empty data", "data:\n\n", ""},
		{"field without colon", "data\n\n", ""},
		{"others", ": c\nevent: e\nid: 1\nretry: 5\ndatax: n\ndata: a\n\n", "a"},
		{"an event without data", "event: e\n\ndata: a\n\n", "a"},
		{"carriage returns", "data: a\r\n\r\ndata: b\r\n\r\n", "a|b"},
		{"no end", "data: a\n\ndata: b", "a|b"},
		{"no blank line", "data: a\n", "a"},
	}
	for _, c := range cases {
		for name, r := range map[string]io.Reader{
			"at once": strings.NewReader(c.in), "byte by byte": iotest.OneByteReader(strings.NewReader(c.in)),
		} {
			got, err := readAll(r)
			if err != io.EOF || strings.Join(got, "|") != c.want || len(got) == 0 {
				t.Errorf("%s, %s: got %q, %v, want %q", c.name, name, got, err, c.want)
			}
		}
	}
}

func TestALostConnectionIsNoEnd(t *testing.T) {
	lost := errors.New("lost")
	got, err := readAll(io.MultiReader(strings.NewReader("data: a\n\ndata: b\n"), iotest.ErrReader(lost)))
	if !errors.Is(err, lost) || len(got) != 1 {
		t.Errorf("got %q, %v", got, err)
	}
}

func FuzzEvents(f *testing.F) {
	f.Add([]byte("\xef\xbb\xbf: c\r\ndata: a\r\ndata:b\n\ndata"))
	f.Fuzz(func(t *testing.T, in []byte) {
		whole, err := readAll(bytes.NewReader(in))
		slow, slowErr := readAll(iotest.OneByteReader(bytes.NewReader(in)))
		if err != io.EOF || slowErr != io.EOF || strings.Join(whole, "|") != strings.Join(slow, "|") {
			t.Fatalf("%q, %v; byte by byte %q, %v", whole, err, slow, slowErr)
		}
	})
}
