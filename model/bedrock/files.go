package bedrock

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"

	"github.com/agentkernel/agentkernel/model"
)

// errFile is the cause of a failure for a file that Bedrock does not take.
var errFile = errors.New("the file cannot be sent to this provider")

var images = map[string]types.ImageFormat{
	"image/png":  types.ImageFormatPng,
	"image/jpeg": types.ImageFormatJpeg,
	"image/gif":  types.ImageFormatGif,
	"image/webp": types.ImageFormatWebp,
}

var documents = map[string]types.DocumentFormat{
	"application/pdf":          types.DocumentFormatPdf,
	"application/msword":       types.DocumentFormatDoc,
	"application/vnd.ms-excel": types.DocumentFormatXls,
	"application/vnd.openxmlformats-officedocument.wordprocessingml.document": types.DocumentFormatDocx,
	"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet":       types.DocumentFormatXlsx,
	"text/csv":      types.DocumentFormatCsv,
	"text/html":     types.DocumentFormatHtml,
	"text/markdown": types.DocumentFormatMd,
}

// fileBlock writes file number n of a request and reports whether it is a document.
func fileBlock(f *model.File, n int) (types.ContentBlock, bool, error) {
	media := f.PlainType()
	image, isImage := images[media]
	format, isDocument := documents[media]
	if !isImage && !isDocument && f.Media() == model.MediaText {
		format, isDocument = types.DocumentFormatTxt, true
	}
	switch {
	case !isImage && !isDocument:
		return nil, false, fmt.Errorf("%w: a file of type %s is neither an image nor a document that it reads", errFile, media)
	case len(f.Data) == 0:
		return nil, false, errors.New("a file came without its bytes")
	case isImage:
		return &types.ContentBlockMemberImage{Value: types.ImageBlock{
			Format: image, Source: &types.ImageSourceMemberBytes{Value: f.Data},
		}}, false, nil
	}
	return &types.ContentBlockMemberDocument{Value: types.DocumentBlock{
		Name: aws.String(documentName(f.Name, n)), Format: format, Source: &types.DocumentSourceMemberBytes{Value: f.Data},
	}}, true, nil
}

var notInNames = regexp.MustCompile(`[^a-zA-Z0-9()\[\]-]+`)

// documentName makes a name of the characters that Bedrock allows. The number keeps names apart, since it refuses two
// that are equal.
func documentName(name string, n int) string {
	name = strings.TrimSpace(notInNames.ReplaceAllString(name, " "))
	if name == "" {
		name = "document"
	}
	return fmt.Sprintf("%s %d", strings.TrimSpace(name[:min(len(name), 100)]), n)
}
