package server

import (
	"bytes"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
)

// ChatFile is a file in the body of a chat request.
type ChatFile struct {
	_         struct{} `additionalProperties:"false"`
	Name      string   `json:"name,omitempty" doc:"What the user calls it; a path before it is dropped" example:"invoice.pdf"`
	MediaType string   `json:"media_type,omitempty" doc:"image/png, image/jpeg, image/gif, image/webp, application/pdf, application/json or text/*; without it the content decides" example:"application/pdf"`
	Data      string   `json:"data" encoding:"base64" doc:"The content in base64, padded"`
}

const (
	multipartPath = "/api/v1/chat-multipart"
	chatPath      = "/api/v1/chat"

	longestName = 255 // bytes of a file's name that are kept
)

var imageTypes = []string{"image/png", "image/jpeg", "image/gif", "image/webp"}

const takenTypes = "image/png, image/jpeg, image/gif, image/webp, application/pdf, application/json and text/*"

// bodyLimit is how many bytes a request to this path may have.
func (s *Server) bodyLimit(path string) int64 {
	switch files := int64(s.cfg.MaxFiles) * s.cfg.MaxFileSize; path {
	case chatPath:
		return s.cfg.MaxBody + base64Len(files)
	case multipartPath:
		return s.cfg.MaxBody + files
	}
	return s.cfg.MaxBody
}

// base64Len is how many letters so many bytes take.
func base64Len(n int64) int64 { return (n + 2) / 3 * 4 }

// place names a file in refusals: where it is in the request, and what it is called.
func place(where, name string) string {
	if name == "" {
		return where
	}
	return fmt.Sprintf("%s (%s)", where, name)
}

func (s *Server) tooManyFiles() error {
	return fault.New(fault.TooLarge, "", "the request has more than %d files", s.cfg.MaxFiles).WithTry("send fewer files with each request")
}

func (s *Server) tooLargeFile(place string) error {
	return fault.New(fault.TooLarge, "", "%s has more than %d bytes, which is the limit for a file", place, s.cfg.MaxFileSize)
}

// checkFile makes a file of what was sent. place says which one it is, for the refusals.
func (s *Server) checkFile(place, name, declared string, data []byte) (model.File, error) {
	if len(data) == 0 {
		return model.File{}, fault.New(fault.BadRequest, "", "%s is empty", place).WithTry("leave it out")
	}
	if int64(len(data)) > s.cfg.MaxFileSize {
		return model.File{}, s.tooLargeFile(place)
	}
	media, err := mediaType(place, declared, data)
	return model.File{Name: name, MediaType: media, Data: data}, err
}

// mediaType is what a file is: what was declared, if that is taken and the content does not say otherwise.
func mediaType(place, declared string, data []byte) (string, error) {
	sniffed, _, _ := mime.ParseMediaType(http.DetectContentType(data))
	media := sniffed
	if declared != "" {
		var err error
		if media, _, err = mime.ParseMediaType(declared); err != nil {
			return "", fault.New(fault.BadRequest, "", "the media type of %s is %.100q, which is none", place, declared)
		}
		switch media {
		case "application/octet-stream": // that is what clients say who do not know
			media = sniffed
		case "image/jpg": // a common mistake
			media = "image/jpeg"
		}
	}
	kind, _, _ := strings.Cut(media, "/")
	image := slices.Contains(imageTypes, media)
	switch {
	case !image && kind != "text" && media != "application/pdf" && media != "application/json":
		return "", untaken("%s is %.100s, which is not taken", place, media)
	case media != sniffed && (image || slices.Contains(imageTypes, sniffed)):
		return "", untaken("%s is declared as %.100s, but its content is %s", place, media, sniffed)
	case (kind == "text" || media == "application/json") && !utf8.Valid(data):
		return "", untaken("%s is declared as %.100s, but it is not text in UTF-8", place, media)
	}
	return media, nil
}

func untaken(format string, args ...any) error {
	return fault.New(fault.Unsupported, "", format, args...).WithTry("the media types of files are " + takenTypes)
}

// fileName is a name that can be shown and stored: no path, nothing that cannot be seen, and not too long.
func fileName(name string) string {
	name = name[strings.LastIndexAny(name, `/\`)+1:]
	name = strings.TrimSpace(strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsGraphic(r) {
			return -1
		}
		return r
	}, name))
	if strings.Trim(name, ".") == "" {
		return ""
	}
	if len(name) > longestName {
		name = string(bytes.ToValidUTF8([]byte(name[:longestName]), nil))
	}
	return name
}
