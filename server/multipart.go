package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"strings"
	"unicode/utf8"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
)

// formReader reads a chat request that is a form (RFC 7578), part by part. What a part may hold is bounded while it is
// read.
type formReader struct {
	s      *Server
	b      *body
	end    *endSeeker
	parts  *multipart.Reader
	fields map[string]string
	files  []model.File
}

// readForm reads the body of a chat request that is a form.
func (s *Server) readForm(in *wire) (map[string]string, []model.File, error) {
	_, params, err := mime.ParseMediaType(in.r.Header.Get("Content-Type"))
	const longestBoundary = 70 // RFC 2046
	if boundary := params["boundary"]; err != nil || boundary == "" || len(boundary) > longestBoundary {
		return nil, nil, fault.New(fault.BadRequest, "", "the header Content-Type has no boundary of 1 to %d characters", longestBoundary).
			WithTry("let the HTTP client write that header")
	}
	b := s.body(in)
	end := &endSeeker{r: b, last: []byte("--" + params["boundary"] + "--")}
	r := &formReader{s: s, b: b, end: end, parts: multipart.NewReader(end, params["boundary"]), fields: map[string]string{}}
	if err := r.read(); err != nil {
		return nil, nil, err
	}
	b.done()
	return r.fields, r.files, nil
}

func (r *formReader) read() error {
	for {
		p, err := r.parts.NextRawPart()
		if err == io.EOF && r.end.seen {
			return r.rest()
		}
		if err == nil {
			err = r.part(p)
		}
		if err != nil {
			return r.refusal(err)
		}
	}
}

// endSeeker notes whether the last boundary of a form came by: package multipart takes a form that is cut off within the
// headers of a part for one that ends before it.
type endSeeker struct {
	r    io.Reader
	last []byte
	tail []byte // what may be its beginning
	seen bool
}

func (e *endSeeker) Read(p []byte) (n int, err error) {
	n, err = e.r.Read(p)
	if !e.seen {
		e.tail = append(e.tail, p[:n]...)
		e.seen = bytes.Contains(e.tail, e.last)
		e.tail = append(e.tail[:0], e.tail[max(0, len(e.tail)-len(e.last)+1):]...)
	}
	return n, err
}

// rest reads what comes after the last part, which is nothing worth keeping, but it is bounded too.
func (r *formReader) rest() error {
	if _, err := io.Copy(io.Discard, r.b); err != nil {
		return r.refusal(err)
	}
	return nil
}

// refusal is err as the client's fault.
func (r *formReader) refusal(err error) error {
	if p := r.b.refusal(err, r.s.cfg.MaxBody); p != nil {
		return p
	}
	switch {
	case isFault(err):
		return err
	case r.b.read == 0:
		return bad("the body is empty")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return bad("the form ends before its last boundary")
	}
	return bad("the body is not a form: %.200v", err)
}

func bad(format string, args ...any) *fault.Error {
	return fault.New(fault.BadRequest, "", format, args...)
}

func isFault(err error) bool {
	var f *fault.Error
	return errors.As(err, &f)
}

// part takes one part: a file, or a field.
func (r *formReader) part(p *multipart.Part) error {
	name := p.FormName()
	declared := p.Header.Get("Content-Type")
	switch encoding := strings.ToLower(p.Header.Get("Content-Transfer-Encoding")); {
	case name == "" || !utf8.ValidString(name):
		return bad("a part of the form has no name").WithTry("each part needs the header Content-Disposition: form-data; name=…")
	case strings.HasPrefix(strings.ToLower(strings.TrimSpace(declared)), "multipart/"):
		return bad("the part %.100q is a form itself", name).WithTry("send each file in a part of its own")
	case encoding != "" && encoding != "binary" && encoding != "8bit" && encoding != "7bit":
		return bad("the part %.100q has the transfer encoding %.40q", name, encoding).WithTry("send its bytes as they are")
	}
	_, params, _ := mime.ParseMediaType(p.Header.Get("Content-Disposition"))
	_, named := params["filename"]
	switch {
	case name == "files" || name == "images":
		if !named {
			return bad("the part %s has no filename", name)
		}
		return r.file(p, name, fileName(params["filename"]), declared)
	case named:
		return bad("the part %.100q is a file", name).WithTry("send files in parts named files or images")
	}
	return r.field(p, name)
}

func (r *formReader) field(p *multipart.Part, name string) error {
	if _, twice := r.fields[name]; twice {
		return bad("the form names %.100q twice", name)
	}
	value, err := io.ReadAll(p)
	if err == nil && !utf8.Valid(value) {
		err = bad("the field %.100q is not valid UTF-8", name)
	}
	r.fields[name] = string(value)
	return err
}

// file reads one file. Its bytes do not count towards MaxBody.
func (r *formReader) file(p *multipart.Part, field, name, declared string) error {
	if len(r.files) == r.s.cfg.MaxFiles {
		return r.s.tooManyFiles()
	}
	at := place(fmt.Sprintf("file %d", len(r.files)+1), name)
	limit := r.b.limit
	r.b.limit += r.s.cfg.MaxFileSize
	data, err := io.ReadAll(io.LimitReader(p, r.s.cfg.MaxFileSize+1))
	if errors.Is(err, errOver) || err == nil && int64(len(data)) > r.s.cfg.MaxFileSize {
		return r.s.tooLargeFile(at)
	}
	if err != nil {
		return err
	}
	r.b.limit = limit + int64(len(data))
	f, err := r.s.checkFile(at, name, declared, data)
	if err == nil && field == "images" && !strings.HasPrefix(f.MediaType, "image/") {
		err = untaken("%s is %s, and the field images takes images", at, f.MediaType)
	}
	r.files = append(r.files, f)
	return err
}

// formRequest makes the kernel's request of a form: the fields that are not ours are extra, as texts.
func formRequest(fields map[string]string, req *agentkernel.Request) error {
	if _, given := fields["prompt"]; !given {
		return bad("the form has no field prompt")
	}
	for name, field := range map[string]*string{"prompt": &req.Prompt, "agent": &req.Agent, "session_id": &req.Session} {
		*field = fields[name]
		delete(fields, name)
	}
	if len(fields) == 0 {
		return nil
	}
	extra, err := json.Marshal(fields)
	req.Extra = extra
	return err // none: they are texts
}
