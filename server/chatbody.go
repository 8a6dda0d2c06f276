package server

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/agentkernel/agentkernel/model"
)

// chatReader reads the JSON of a chat request piece by piece: it may be much larger than other bodies because of its
// files, of which only the one that is being read is held twice.
type chatReader struct {
	s     *Server
	b     *body
	d     *json.Decoder
	taken int64 // letters of base64 read so far, of all files; they do not count towards MaxBody
	files []model.File
}

// readChat reads the body of a chat request: its files, and its other fields as they were sent. A name that is given
// twice is refused: which one counts is for nobody to guess.
func (s *Server) readChat(in *wire) (map[string]any, []model.File, error) {
	b := s.body(in)
	b.text = &utf8Check{}
	r := &chatReader{s: s, b: b, d: json.NewDecoder(b)}
	r.d.UseNumber()
	fields, err := r.object()
	if err != nil {
		return nil, nil, r.refusal(err)
	}
	b.done()
	return fields, r.files, nil
}

// refusal is err as the client's fault.
func (r *chatReader) refusal(err error) error {
	if p := r.b.refusal(err, r.s.cfg.MaxBody); p != nil {
		return p
	}
	var syntax *json.SyntaxError
	switch {
	case r.b.read == 0 && err == io.EOF:
		return newError(http.StatusBadRequest, "request body is required")
	case err == io.EOF, errors.Is(err, io.ErrUnexpectedEOF):
		return wrong("body", "unexpected end of JSON input")
	case errors.As(err, &syntax):
		return wrong("body", "%v", err)
	}
	if _, ours := err.(interface{ GetStatus() int }); ours || isFault(err) {
		return err
	}
	return newError(http.StatusBadRequest, "cannot read request body")
}

// wrong is a problem with one part of a body.
func wrong(where, format string, args ...any) error {
	return newError(http.StatusBadRequest, "", &huma.ErrorDetail{Location: where, Message: fmt.Sprintf(format, args...)})
}

func (r *chatReader) object() (map[string]any, error) {
	if err := r.open('{', "body", "object"); err != nil {
		return nil, err
	}
	fields := map[string]any{}
	seen := false // files
	for r.d.More() {
		name, err := r.name()
		if err != nil {
			return nil, err
		}
		if _, twice := fields[name]; twice || seen && name == "files" {
			return nil, wrong("body", "it names %.100q twice", name)
		}
		if name == "files" {
			seen = true
			err = r.list()
		} else {
			var value any
			err = r.d.Decode(&value)
			fields[name] = value
		}
		if err != nil {
			return nil, err
		}
	}
	if _, err := r.d.Token(); err != nil { // the end of the object
		return nil, err
	}
	if _, err := r.d.Token(); err != io.EOF {
		if err == nil {
			err = wrong("body", "there is something after the object")
		}
		return nil, err
	}
	if r.d.InputOffset()-r.taken > r.s.cfg.MaxBody { // it was read together with a file
		return nil, errOver
	}
	return fields, nil
}

// name reads the name of an object's next field.
func (r *chatReader) name() (string, error) {
	t, err := r.d.Token()
	name, _ := t.(string)
	return name, err
}

// open reads the beginning of an object or a list.
func (r *chatReader) open(delim json.Delim, where, what string) error {
	t, err := r.d.Token()
	if err == nil && t != delim {
		err = wrong(where, "expected %s", what)
	}
	return err
}

// list reads the files.
func (r *chatReader) list() error {
	t, err := r.d.Token()
	switch {
	case err != nil, t == nil:
		return err
	case t != json.Delim('['):
		return wrong("body.files", "expected array")
	}
	for r.d.More() {
		if len(r.files) == r.s.cfg.MaxFiles {
			return r.s.tooManyFiles()
		}
		if err := r.file(fmt.Sprintf("files[%d]", len(r.files))); err != nil {
			return err
		}
	}
	_, err = r.d.Token()
	return err
}

// file reads one file.
func (r *chatReader) file(where string) error {
	at := "body." + where
	if err := r.open('{', at, "object"); err != nil {
		return err
	}
	fields := map[string]string{}
	for r.d.More() {
		name, err := r.name()
		if err != nil {
			return err
		}
		switch _, twice := fields[name]; {
		case twice:
			return wrong(at, "it names %.100q twice", name)
		case name != "name" && name != "media_type" && name != "data":
			return wrong(fmt.Sprintf("%s.%.100s", at, name), "unexpected property")
		}
		if name == "data" {
			r.b.limit += base64Len(r.s.cfg.MaxFileSize)
		}
		value, err := r.d.Token()
		text, ok := value.(string)
		if errors.Is(err, errOver) && name == "data" {
			return r.s.tooLargeFile(place(where, fileName(fields["name"])))
		}
		if err == nil && !ok {
			err = wrong(at+"."+name, "expected string")
		}
		if err != nil {
			return err
		}
		if name == "data" {
			r.taken += min(int64(len(text)), base64Len(r.s.cfg.MaxFileSize))
			r.b.limit = r.s.cfg.MaxBody + r.taken
		}
		fields[name] = text
	}
	if _, err := r.d.Token(); err != nil {
		return err
	}
	return r.take(where, at, fields)
}

func (r *chatReader) take(where, at string, fields map[string]string) error {
	name := fileName(fields["name"])
	encoded, given := fields["data"]
	if !given {
		return wrong(at, "expected required property data to be present")
	}
	data, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		p := wrong(at+".data", "%v", err).(*Problem)
		p.Try = "encode the content alone, in padded base64 of the standard alphabet"
		return p
	}
	f, err := r.s.checkFile(place(where, name), name, fields["media_type"], data)
	r.files = append(r.files, f)
	return err
}
