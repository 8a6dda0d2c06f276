// Package modeltest proves providers of language models, and stands in for their servers.
//
// # The server
//
// [Server] is an http.Handler that speaks the formats of several providers, streamed and whole, each at the path where
// its clients look for it; see [Format]. What it says comes from the reply scripts of the package scripted, so an agent
// that runs against it makes sensible tool calls. What goes wrong comes from the steps of its [Script]: refusals with
// status, headers and body, a slow stream, a stream that is cut, stalls, or carries broken or erroneous chunks. Like
// the real ones it refuses a conversation in which a tool call has no result.
//
// A format is one file, wire_….go, which reads its requests and writes its answers, and one, profile_….go, which says
// what a provider has to make of its errors. Faults are not the format's business: they act on the pieces that it
// gives, so every fault exists in every format.
//
// No wait in it outlives its request: it ends when the client goes away or the server is closed.
//
// # The conformance suite
//
// [Run] holds a provider against the server, case by case, and reports everything that the provider does other than the
// contract in package model says: an answer that was not complete, a failure of the wrong kind, a lost retry hint, a
// retry of its own, a goroutine left behind, a key in an error's text. Each provider's own test calls it.
package modeltest
