// Package server is the HTTP face of a kernel: REST with an OpenAPI 3.1 description, server-sent events, health and
// errors as RFC 9457 problems. It holds no business rules: every decision is the kernel's, and what is decided here is
// only how it looks on the wire.
//
// # A chat request
//
// POST /api/v1/chat starts a turn and waits for it. From the moment the kernel has accepted it the turn is durable, and
// nothing that happens to the connection changes it:
//
//   - it completes: 200 with the result;
//   - it fails: a problem with the status of the failure's kind, never a 200; the same under the same Idempotency-Key;
//   - it waits for a person, or behind a turn that does: 202 with a Location;
//   - it outlasts the server's SyncTimeout or the client's "Prefer: wait=N", or this replica is leaving: 202 with a
//     Location;
//   - "Prefer: respond-async": 202 at once, whatever became of it by then;
//   - "Accept: text/event-stream": the turn's story as it happens, the same as GET /api/v1/turns/{id}/events;
//   - the client goes away: the turn goes on, unless the request said "Prefer: cancel-on-disconnect".
//
// Preferences that are not known, or not well formed, are ignored, as RFC 7240 demands.
//
// # Streams
//
// A stream may break at any time: the client reconnects, here or at another replica, with the id of the last event it
// has seen. A reader that does not take a piece within the write time-out is disconnected, and resumes like any other.
// A comment is sent when nothing else is, so that proxies keep the connection. A stream that cannot go on says why in an
// event named "problem". A reader that has seen the end of a turn and asks again gets 204, which tells a browser's
// EventSource to stop.
//
// # What is refused before the kernel sees it
//
// Bodies and headers over their limits, other media types than JSON, query parameters that do not exist, requests that a
// browser makes on behalf of another site, and whatever the OpenAPI description does not allow. All of them are problems
// with a status below 500.
//
// # A process-wide setting
//
// Package huma makes its own errors through a variable. This package sets it when it is initialised, so that a failed
// validation has the same shape as every other problem; a program that serves another API with huma gets that shape
// there too, unless it sets the variable again.
package server
