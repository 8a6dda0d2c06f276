// Package auth says who calls and what they may do. It has two ways to prove who one is: API keys, and JSON Web Tokens
// of an OpenID Connect provider.
//
// # API keys
//
// A key is a long random text that begins with "ak_". The server knows only its SHA-256: keys have more randomness than
// can be searched, so they need no slow hash. A presented key is hashed and compared with every configured hash in
// constant time. Several keys live at once, so that one can be replaced without a gap: add the new one, move the
// clients, remove the old one.
//
// # JSON Web Tokens
//
// Issuer, audience and algorithms are pinned in the configuration; what a token says about itself selects nothing but
// the key. Algorithms are asymmetric only, and a key is used only with an algorithm that fits its type, its curve and
// the use that the provider declared for it. A token needs a key id, an issuer, an audience, a subject and an expiry.
//
// The provider's keys are fetched when they are first needed, again in the background once they are older than Refresh,
// and at most once in a short while when a token names a key that is not among them. What can go wrong with that:
//
//   - the provider is down, slow or answers nonsense: the keys of the last good answer serve for MaxStale. A key set
//     without a single usable key is nonsense;
//   - the provider is down and there are no keys yet, or they are too old: nobody can be told from anybody, so requests
//     are refused as unavailable, which is retryable, and never as unauthenticated;
//   - the provider is down and a token names an unknown key: unavailable too, because the key may be a new one;
//   - many requests need a fetch at once: one is made, and all wait for it, each for no longer than its own context;
//   - somebody sends tokens with made-up key ids: they cost the provider one request every few seconds, whatever their
//     number, and no other request waits for it;
//   - the provider withdraws a key: it counts no longer from the next good answer on.
//
// # Roles
//
// A user asks agents and reads, cancels and erases what is its tenant's. An approver reads, approves and denies. An
// operator may do all of that, and also decides about calls in doubt and quarantined turns, and looks behind the scenes.
// A user who is to approve needs both roles. A role counts inside the identity's tenant only; there is none that spans
// tenants.
//
// # Secrets
//
// No error and no log entry of this package contains a credential or a part of one, not even where a credential stands
// in the wrong place.
package auth
