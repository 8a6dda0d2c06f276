package telemetry

// Type is how a metric is counted.
type Type string

const (
	Counter   Type = "counter"   // only goes up, and starts at 0 with the process
	Gauge     Type = "gauge"     // how it is now
	Histogram Type = "histogram" // how often which size was seen
)

// Metric describes one metric.
type Metric struct {
	Name    string
	Type    Type
	Unit    string // what a value counts: "turns", "seconds"; empty for yes and no
	Labels  []string
	Help    string
	Buckets []float64 // upper bounds, of a histogram
}

// Names of metrics.
const (
	turnsAccepted   = "ak_turns_accepted_total"
	turnsEnded      = "ak_turns_ended_total"
	turnSeconds     = "ak_turn_run_seconds"
	turnsLost       = "ak_turns_lost_by_store_total"
	turnsDiverged   = "ak_turns_diverged_total"
	steps           = "ak_steps_total"
	stepSeconds     = "ak_step_seconds"
	tokens          = "ak_model_tokens_total"
	wasted          = "ak_wasted_tokens_total"
	dollars         = "ak_model_cost_dollars_total"
	rests           = "ak_turns_rested_total"
	decisions       = "ak_approvals_total"
	degradations    = "ak_turns_degraded_total"
	reappended      = "ak_store_records_put_back_total"
	doubts          = "ak_tool_calls_in_doubt_total"
	appends         = "ak_store_appends_total"
	appendSeconds   = "ak_store_append_seconds"
	rollbacks       = "ak_store_rollbacks_total"
	claims          = "ak_claims_total"
	requests        = "ak_http_requests_total"
	requestSeconds  = "ak_http_request_seconds"
	streams         = "ak_http_streams"
	sessionsRunning = "ak_turns_running"
	storeUp         = "ak_store_up"
	leaseOK         = "ak_lease_ok"
	replicasLive    = "ak_replicas_live"
	replicaConfigs  = "ak_replica_configs"
	buildInfo       = "ak_build_info"
)

// Bounds in seconds: a store answers within milliseconds, a request or a call within seconds, a turn within minutes.
var (
	quick  = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}
	calls  = []float64{.005, .025, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120}
	minute = []float64{.05, .1, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600}
)

// List is every metric of Agent Kernel. Those of the Go runtime and of the process are added by the Prometheus client.
var List = []Metric{
	{Name: turnsAccepted, Type: Counter, Unit: "turns", Labels: []string{"agent"}, Help: "Turns that were accepted here and are durable."},
	{Name: turnsEnded, Type: Counter, Unit: "turns", Labels: []string{"agent", "state", "code"}, Help: "Turns that ran here to their end; code says why one failed."},
	{Name: turnSeconds, Type: Histogram, Unit: "seconds", Labels: []string{"agent"}, Buckets: minute, Help: "How long a turn ran here until it ended, without the time it spent elsewhere or waiting."},
	{Name: sessionsRunning, Type: Gauge, Unit: "turns", Help: "Turns that this replica runs now."},
	{Name: turnsLost, Type: Counter, Unit: "requests", Help: "Requests for a turn that the store had acknowledged and no longer has. Anything above 0 needs a look."},
	{Name: turnsDiverged, Type: Counter, Unit: "calls", Labels: []string{"agent"}, Help: "Recorded answers that stood after a re-run asked differently."},
	{Name: steps, Type: Counter, Unit: "calls", Labels: []string{"agent", "kind", "name", "code"}, Help: "Model calls, tool calls and steps that ended; code says why one failed."},
	{Name: stepSeconds, Type: Histogram, Unit: "seconds", Labels: []string{"kind", "name"}, Buckets: calls, Help: "How long a model call, tool call or step took."},
	{Name: tokens, Type: Counter, Unit: "tokens", Labels: []string{"agent", "model", "direction"}, Help: "Tokens as providers bill them; direction is in or out."},
	{Name: wasted, Type: Counter, Unit: "tokens", Labels: []string{"agent"}, Help: "Tokens of answers that came when another replica had taken the session over, and so were lost."},
	{Name: dollars, Type: Counter, Unit: "dollars", Labels: []string{"agent", "model"}, Help: "What models' answers cost, by the configured prices; models without a price are not in it."},
	{Name: rests, Type: Counter, Unit: "turns", Labels: []string{"agent", "reason"}, Help: "Times a turn came to wait: approval, in_doubt, timer, provider or quarantined."},
	{Name: decisions, Type: Counter, Unit: "approvals", Labels: []string{"outcome"}, Help: "Questions to people that were answered: approve, deny, or expired when nobody did."},
	{Name: degradations, Type: Counter, Unit: "turns", Labels: []string{"agent", "what"}, Help: "Replies that are less than what was asked for, because a limit was near or a loop was found."},
	{Name: doubts, Type: Counter, Unit: "calls", Labels: []string{"tool"}, Help: "At-most-once calls whose outcome became unknown."},
	{Name: claims, Type: Counter, Unit: "sessions", Labels: []string{"cause"}, Help: "Sessions with unfinished work that this replica took: takeover from a dead one, or resume."},
	{Name: appends, Type: Counter, Unit: "appends", Labels: []string{"outcome"}, Help: "Appends to journals by what the store answered: ok, conflict or error."},
	{Name: appendSeconds, Type: Histogram, Unit: "seconds", Buckets: quick, Help: "How long the store took for an append."},
	{Name: rollbacks, Type: Counter, Unit: "rollbacks", Help: "Times the store was found to have lost acknowledged records. Anything above 0 needs a look."},
	{Name: reappended, Type: Counter, Unit: "records", Help: "Records that the store had lost and that were put back."},
	{Name: storeUp, Type: Gauge, Help: "1 when the store answered last, else 0."},
	{Name: leaseOK, Type: Gauge, Help: "1 while the store took this replica's sign of life in time, else 0."},
	{Name: replicasLive, Type: Gauge, Unit: "replicas", Help: "Live replicas of the store as this one sees them, itself among them."},
	{Name: replicaConfigs, Type: Gauge, Unit: "configurations", Help: "Different configurations among the live replicas. Above 1 for longer than a rollout takes is drift: ak replicas says whose."},
	{Name: requests, Type: Counter, Unit: "requests", Labels: []string{"route", "method", "status"}, Help: "HTTP requests that were answered. A stream counts when it ends."},
	{Name: requestSeconds, Type: Histogram, Unit: "seconds", Labels: []string{"route"}, Buckets: minute, Help: "How long an HTTP request took, the wait for a turn included."},
	{Name: streams, Type: Gauge, Unit: "streams", Help: "Event streams that are open."},
	{Name: buildInfo, Type: Gauge, Labels: []string{"version", "go"}, Help: "Always 1; the labels say what is running."},
}
