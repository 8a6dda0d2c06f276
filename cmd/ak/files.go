package main

import (
	"errors"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"os"
	"path/filepath"

	"github.com/agentkernel/agentkernel/fault"
)

// chatFile is a file as a chat request has it. Data travels as base64.
type chatFile struct {
	Name      string `json:"name"`
	MediaType string `json:"media_type"`
	Data      []byte `json:"data"`
}

// maxChatFile bounds what is read into memory; what a server takes is less, and its own to say.
const maxChatFile = 64 << 20 // bytes

func readFiles(paths []string) ([]chatFile, error) {
	var files []chatFile
	for _, path := range paths {
		data, err := readUpTo(path, maxChatFile)
		if err != nil {
			return nil, err
		}
		files = append(files, chatFile{Name: filepath.Base(path), MediaType: mediaType(path, data), Data: data})
	}
	return files, nil
}

func readUpTo(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fault.New(fault.NotFound, "", "there is no file %s", path)
	case err != nil:
		return nil, fault.New(fault.BadRequest, "", "the file cannot be read: %w", err)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	switch {
	case err != nil:
		return nil, fault.New(fault.BadRequest, "", "the file cannot be read: %w", err)
	case len(data) == 0:
		return nil, fault.New(fault.BadRequest, "", "the file %s is empty", path)
	case int64(len(data)) > limit:
		return nil, fault.New(fault.TooLarge, "", "the file %s has more than %d MiB", path, limit>>20).WithTry("send a smaller one")
	}
	return data, nil
}

// mediaType goes by the file's content where that is telling, else by its name, whose meaning depends on the machine.
func mediaType(path string, data []byte) string {
	sniffed, _, _ := mime.ParseMediaType(http.DetectContentType(data))
	if sniffed != "application/octet-stream" && sniffed != "text/plain" {
		return sniffed
	}
	switch filepath.Ext(path) { // texts that look like any other
	case ".md", ".markdown":
		return "text/markdown"
	case ".csv":
		return "text/csv"
	case ".json":
		return "application/json"
	}
	if byName, _, err := mime.ParseMediaType(mime.TypeByExtension(filepath.Ext(path))); err == nil && sniffed != "text/plain" {
		return byName
	}
	return sniffed
}
