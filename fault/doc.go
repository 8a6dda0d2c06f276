// Package fault holds the one vocabulary of errors of this module.
//
// Every error that crosses a package boundary is, or wraps, an [*Error]: the operation that failed, the [Kind] of the
// failure, and the cause. The kind is decided once, where the failure is first seen (a provider's edge, a store's edge,
// the check of a request), and from then on it is the kind, never the text, that decides whether something is tried
// again, which HTTP status and exit code a caller sees, and which label a metric carries. The table in this package is
// the only place that knows those consequences.
//
// The package imports nothing but the standard library, so that the two leaf contracts, session and model, can share
// it.
package fault
