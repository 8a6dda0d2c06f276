package model

import (
	"fmt"
	"mime"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/agentkernel/agentkernel/fault"
)

// Media is what a file is to a provider.
type Media int

// The kinds of files.
const (
	MediaOther Media = iota
	MediaImage       // PNG, JPEG, GIF or WebP: what every provider that sees images can read
	MediaPDF
	MediaText // any text: text/*, JSON, XML, YAML
)

// Media is what f is, by its declared type without parameters. A text that is not UTF-8 is other.
func (f *File) Media() Media {
	media := f.PlainType()
	switch media {
	case "image/png", "image/jpeg", "image/gif", "image/webp":
		return MediaImage
	case "application/pdf":
		return MediaPDF
	}
	text := strings.HasPrefix(media, "text/") || strings.HasSuffix(media, "+json") || strings.HasSuffix(media, "+xml") ||
		media == "application/json" || media == "application/xml" || media == "application/yaml"
	if text && utf8.Valid(f.Data) {
		return MediaText
	}
	return MediaOther
}

// PlainType is the media type in lower case, without parameters.
func (f *File) PlainType() string {
	media, _, err := mime.ParseMediaType(f.MediaType)
	if err != nil {
		return strings.ToLower(strings.TrimSpace(f.MediaType))
	}
	return media
}

// Inline is a text file as part of a message, for providers without a better place for it.
func (f *File) Inline() string {
	name := f.Name
	if name == "" {
		name = "unnamed"
	}
	return fmt.Sprintf("File %q:\n\n%s", name, f.Data)
}

// CheckFiles refuses, before anything is sent, files of req that a provider cannot send: one of another kind than
// those in known is fault.Unsupported, and one without bytes is fault.Invalid.
func CheckFiles(req *Request, op string, known ...Media) error {
	for _, m := range req.Messages {
		for _, p := range m.Parts {
			if p.File == nil {
				continue
			}
			switch {
			case len(p.File.Data) == 0:
				return fault.New(fault.Invalid, op, "the file %q is empty, or its bytes were not loaded", p.File.Name)
			case !slices.Contains(known, p.File.Media()):
				return fault.New(fault.Unsupported, op, "this provider cannot send the file %q of type %q", p.File.Name,
					p.File.PlainType()).WithTry("send an image (PNG, JPEG, GIF, WebP), a PDF or a text in UTF-8")
			}
		}
	}
	return nil
}
