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
// # Hooks
//
// A hook is a service that is asked about a turn, before the agent or after it, with a POST of one JSON object:
// session_id, tenant (if there are several), turn_id, agent, prompt (its text; files are not sent), extra, and after the
// agent the reply. The answer is one JSON object with at most one key:
//
//   - reply, before the agent: the answer, and the agent is not asked. After it: the answer in place of the agent's. It
//     must fit the agent's output schema, if there is one.
//   - note, before the agent only: text for the instructions of this turn.
//   - refuse: a reason for which the turn ends with an error of kind fault.Refused.
//
// {} and status 204 let the turn go on. Everything else fails the turn, with a kind that says what happened: another
// status, an answer that is late, broken or too large, an answer that is no such object or has an unknown key. A
// service that is down therefore stops the agent's turns; it does not let them pass unseen. The question is a step, so
// its answer is journaled, and a question that comes again after a crash has the Idempotency-Key of the first.
//
// # Secrets
//
// The values of configured headers, and what the URL holds beside its path, are masked in every error. In results, and in
// what hooks answer, only those are starred out whose name says that they are credentials: to cut a setting out of a
// result would change what the result says. A server that repeats a credential in another form (hashed, escaped in a way
// of its own) is beyond this.
//
// # Where requests go
//
// A [Client] keeps all of its tools' requests within one allow-list: of hosts, by name; of networks, by the address
// that a name resolves to at the moment of the connection, so that a name cannot be pointed elsewhere in between.
// Redirects of GET are followed within the list, and lose the configured headers when they leave the origin. Proxies in
// the environment are not used: the list would then judge the proxy.
package httptool
