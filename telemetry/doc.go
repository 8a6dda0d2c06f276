// Package telemetry turns what a kernel and its server tell into Prometheus metrics and safe logs.
//
// [List] is the one list of metrics: the collectors are made from it, the page docs/metrics.md is written from it, and a
// golden file keeps it from changing unseen, because a dashboard or an alert of a user breaks when a name or a label
// does. Labels have few values: routes are patterns, agents and tools come from the configuration. Where a value could
// come from outside, only the first [MaxValues] different ones are kept apart; the others are counted together as "other",
// so that no client can fill the memory with time series.
//
// [Metrics] has the methods of the kernel's and of the server's Observer without importing either.
package telemetry
