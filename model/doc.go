// Package model is the contract between the kernel and a provider of language models: messages, streamed chunks, usage
// and errors, without a vendor's types.
//
// A provider makes exactly one attempt per call. It does not retry, does not wait for a rate limit and does not choose
// another model; that is decided above it, in one place. It reports a failure as a [fault.Error] whose kind it decides
// from the provider's error code first, then the status, then the text, and it passes the provider's retry hint on as
// Error.After.
//
// The one rule that clients of the usual SDKs miss: an answer counts only if its terminal event was seen. A stream that
// ends without one, an in-band error in a 200, an empty answer, or an unfinished tool call is an error of kind
// Truncated (or the kind the in-band error names), never an [Answer].
//
// What all providers need at their edge is here too, so that it is decided once: when an answer counts ([Settle],
// [CallOf]), what a lost connection means ([NoResponse], [BrokenOff]), when to come back ([RetryAfter]), how server-sent
// events are read ([Events]) and secrets kept out of errors ([Scrubber]), which ids calls have ([CallIDs]), and which
// files can be sent ([CheckFiles]).
//
// The JSON form of [Message] is durable: the journal stores it. Fields are added, never renamed.
package model
