// Package gemini is the provider for Google's Gemini API.
//
// It makes one attempt per call: the SDK's retries are off. The request is made of the SDK's types and sent by the SDK.
// The answer is read here, from the raw response, because the SDK's stream takes an end without a finish reason for
// success and reads numbers in arguments with a loss of digits.
//
// # What is sent
//
// All results of one answer's calls go into one turn, in the order of the calls, since the API counts and pairs them.
// Calls get ids of our own where the conversation's ids repeat or are missing; an answer whose calls have no ids gets
// stable ones by position. Models from Gemini 3 on refuse a call that comes back without the signature of the thought
// behind it. The conversation has no place for signatures, so the first call of each answer carries the value that the
// API documents for calls from elsewhere. A schema for the answer is left out for older models when there are tools,
// since these refuse the two together. Images, PDFs and texts are sent inline; a file of another type fails as
// unsupported before anything is sent.
//
// # What counts as an answer
//
// A stream counts if a finish reason was seen and no error followed it. A chunk that is not JSON is skipped, as long as
// the stream goes on to its finish reason. These are failures of kind truncated: an end without a finish reason, an
// answer without text and calls, a tool call without a name or whose arguments are not a JSON object. A blocked prompt
// and an answer that a filter ended are refused; a call that the model wrote wrongly is malformed. Thoughts are neither
// shown nor kept, but their tokens count as output.
//
// # Failures
//
// The tables in classify.go decide the kind: the reason in the error's details first, then the status word, then the
// HTTP status, with the text only to tell apart what one status is used for. Exhausted resources are throttled, unless
// the details speak of a daily quota or the wait is an hour or more; then it is the quota. The hint in Error.After is
// the RetryInfo of the details, or else the Retry-After header. No error's text, nor that of its causes, contains the
// API key or the values of configured headers.
package gemini
