package model

import (
	"context"
	"encoding/json"
	"strings"
)

// Role says who speaks.
type Role string

const (
	User      Role = "user"      // who asks
	Assistant Role = "assistant" // the model
	ToolRole  Role = "tool"      // what a tool answered
)

// Message is one entry of a conversation. A user message has text parts and files; an assistant message has text, then
// calls; a tool message has exactly one result.
type Message struct {
	Role  Role   `json:"role"`
	Parts []Part `json:"parts"`
}

// Part is one piece of a message: exactly one field is set.
type Part struct {
	Text   string  `json:"text,omitempty"`
	File   *File   `json:"file,omitempty"`
	Call   *Call   `json:"call,omitempty"`
	Result *Result `json:"result,omitempty"`
}

// Call is a model's wish to have a tool called. ID is the provider's name for it, unique within one answer at best; the
// kernel never relies on it.
type Call struct {
	ID   string          `json:"id"`
	Name string          `json:"name"`
	Args json.RawMessage `json:"args"` // a JSON object
}

// File is an image or a document that the user sent along. The journal keeps what names it; its bytes are stored beside
// the journal under their digest, and are set in a request to a provider.
type File struct {
	Name      string `json:"name,omitempty"`
	MediaType string `json:"media_type"` // as image/png
	Size      int64  `json:"size"`       // bytes
	Digest    string `json:"digest"`     // SHA-256 of the bytes, hexadecimal
	Data      []byte `json:"-"`
}

// Result is what a tool answered, as the model shall see it. A long one is stored beside the journal, which then keeps
// its digest and size instead of the content; a request to a provider always has the content.
type Result struct {
	CallID  string `json:"call_id"`
	Name    string `json:"name"`
	Content string `json:"content"`
	IsError bool   `json:"is_error,omitempty"`
	Digest  string `json:"digest,omitempty"` // SHA-256 of the content, hexadecimal, where it is stored apart
	Size    int64  `json:"size,omitempty"`   // bytes of a content that is stored apart
}

// UserText is a user message of one text.
func UserText(text string) Message {
	return Message{Role: User, Parts: []Part{{Text: text}}}
}

// Text is the text of all parts of m, in order.
func (m Message) Text() string {
	if len(m.Parts) == 1 {
		return m.Parts[0].Text
	}
	var b strings.Builder
	for _, p := range m.Parts {
		b.WriteString(p.Text)
	}
	return b.String()
}

// Calls are the tool calls in m, in order.
func (m Message) Calls() []Call {
	var calls []Call
	for _, p := range m.Parts {
		if p.Call != nil {
			calls = append(calls, *p.Call)
		}
	}
	return calls
}

// Tool is what a model is told about a tool.
type Tool struct {
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Parameters  json.RawMessage `json:"parameters"` // a JSON Schema of type object
}

// Request is one call of a model.
type Request struct {
	Model        string    // the provider's own name for the model, without the provider's prefix
	Instructions string    // the system prompt, may be empty
	Messages     []Message // the conversation, oldest first; every call has exactly one result after it
	Tools        []Tool
	MaxTokens    int      // bound on the answer in tokens; 0 leaves it to the provider
	Temperature  *float64 // nil leaves it to the provider
	// Schema is the JSON Schema, of type object, that the answer's text must fit; nil for free text. A provider that
	// cannot hold a model to a schema ignores it: the kernel checks the answer.
	Schema json.RawMessage
	// NoCalls asks for an answer in words: the tools are listed because the conversation has calls of them, but none
	// may be called now. A provider that cannot say so ignores it.
	NoCalls bool
}

// Chunk is a piece of an answer as it is produced. Chunks are for showing only; what counts is the Answer.
type Chunk struct {
	Text string // more of the answer's text, never empty
}

// Finish says why a model stopped.
type Finish string

const (
	FinishStop   Finish = "stop"   // it had said everything
	FinishCalls  Finish = "calls"  // it waits for tools
	FinishLength Finish = "length" // it met MaxTokens or its own bound; the text is cut but the answer is whole as sent
)

// Usage counts tokens as the provider bills them; zero means that it did not say.
type Usage struct {
	Input  int64 `json:"input,omitempty"`
	Cached int64 `json:"cached,omitempty"` // part of Input
	Output int64 `json:"output,omitempty"`
}

// Add is the sum of two usages.
func (u Usage) Add(v Usage) Usage {
	return Usage{Input: u.Input + v.Input, Cached: u.Cached + v.Cached, Output: u.Output + v.Output}
}

// Answer is what a model said, complete: its terminal event was seen.
type Answer struct {
	Message Message `json:"message"`
	Finish  Finish  `json:"finish"`
	Usage   Usage   `json:"usage"`
	Model   string  `json:"model"` // the model that answered, as the provider names it
}

// Provider calls the models of one vendor or server. It is safe for concurrent use.
type Provider interface {
	// Generate makes one attempt. It calls emit, from one goroutine at a time and never after it returned, for
	// every piece of text as it comes; emit does not block and may be nil. It returns promptly with kind Cancelled
	// when ctx ends. A failure is a *fault.Error.
	Generate(ctx context.Context, req *Request, emit func(Chunk)) (*Answer, error)
}
