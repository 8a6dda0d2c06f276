// Package httptool makes tools of HTTP requests: a call becomes a request made of a template and the model's arguments,
// and the response becomes the call's outcome.
//
// # What is sent
//
// The arguments are checked against the tool's JSON Schema; what does not fit is told to the model and never sent. A
// {parameter} in the URL is replaced by the escaped argument, {idempotency_key} by the call's key. A method with a body
// sends all arguments as one JSON object; GET and DELETE send those that the URL does not name as query values. Every
// request carries Idempotency-Key, AK-Epoch and AK-Turn-Id.
//
// # What became of it
//
// Certainty is what counts, because an at-most-once call must not be repeated on a guess:
//
//   - A 2xx response that came whole is the result.
//   - A 4xx response is an error that the model is shown: the tool says that it refused. A redirect with 307 or 308 is
//     one too. From a tool that refuses duplicates or stale epochs, 409 and 412 are not: they say that this very call
//     was seen before, so what became of it is asked.
//   - No route, no name, no listener, no TLS, or a target outside the allow-list: nothing was sent, so nothing happened,
//     and the model is told so.
//   - Everything else, once a connection was handed to the request, leaves it open: 5xx, other redirects, a broken or
//     missing response. The error is marked with [agentkernel.Unclear].
//
// A request of an at-most-once tool goes out on a connection of its own, without a body that could be rewound and
// without redirects. Otherwise net/http sends a request again by itself when a kept connection turns out to be closed,
// and does so the more readily because the request has an Idempotency-Key.
//
// # Reconcile
//
// The reconcile request asks what became of a call. 200 means that it happened, with the body as its result. 404 means
// that it did not; with the header "AK-Fenced: true" the tool also promises to refuse the key from now on. Any other
// answer, and none, means that it is not known.
//
// # Where requests go
//
// A [Client] keeps all of its tools' requests within one allow-list: of hosts, by name; of networks, by the address
// that a name resolves to at the moment of the connection, so that a name cannot be pointed elsewhere in between.
// Redirects of GET are followed within the list, and lose the configured headers when they leave the origin. Proxies in
// the environment are not used: the list would then judge the proxy.
package httptool
