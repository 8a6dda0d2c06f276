// Package modeltest proves providers of language models, and stands in for their servers.
//
// # The server
//
// [Server] is an http.Handler that speaks the chat-completions format of OpenAI, streamed and whole, on
// /v1/chat/completions and /v1/models. What it says comes from the reply scripts of the package scripted, so an agent
// that runs against it makes sensible tool calls. What goes wrong comes from the steps of its [Script]: refusals with
// status, headers and body, a slow stream, a stream that is cut, stalls, or carries broken or erroneous chunks. Like
// the real one it refuses a conversation in which a tool call has no result.
//
// No wait in it outlives its request: it ends when the client goes away or the server is closed.
//
// # The conformance suite
//
// [Run] holds a provider against the server, case by case, and reports everything that the provider does other than the
// contract in package model says: an answer that was not complete, a failure of the wrong kind, a lost retry hint, a
// retry of its own, a goroutine left behind, a key in an error's text. Each provider's own test calls it.
package modeltest
