package telemetry

import (
	"errors"
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// MaxValues is how many different values a label keeps apart when they may come from outside.
const MaxValues = 200

// Metrics counts what it is told. It is made by [New]; its methods are safe for concurrent use.
type Metrics struct {
	registry   *prometheus.Registry
	counters   map[string]*prometheus.CounterVec
	histograms map[string]*prometheus.HistogramVec
	gauges     map[string]*prometheus.GaugeVec
	names      bounded
	sample     atomic.Pointer[func() Sample]
}

// Sample is what a kernel can be asked at any time.
type Sample struct {
	Running int  // turns that run here
	StoreUp bool // whether the store answered last
	LeaseOK bool // whether the last sign of life was taken in time

	Replicas int // live replicas of the store, as this one sees them, itself among them
	Configs  int // different configurations among them
}

// New makes the collectors of [List] in a registry of their own, with those of the Go runtime and the process. The version
// is shown by ak_build_info.
func New(version string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(), counters: map[string]*prometheus.CounterVec{},
		histograms: map[string]*prometheus.HistogramVec{}, gauges: map[string]*prometheus.GaugeVec{},
	}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, d := range List {
		switch {
		case d.Type == Counter:
			v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: d.Name, Help: d.Help}, d.Labels)
			m.counters[d.Name] = v
			m.registry.MustRegister(v)
		case d.Type == Histogram:
			v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: d.Name, Help: d.Help, Buckets: d.Buckets}, d.Labels)
			m.histograms[d.Name] = v
			m.registry.MustRegister(v)
		case readings[d.Name] != nil:
			m.registry.MustRegister(&reading{m: m, desc: prometheus.NewDesc(d.Name, d.Help, nil, nil), read: readings[d.Name]})
		default:
			v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: d.Name, Help: d.Help}, d.Labels)
			m.gauges[d.Name] = v
			m.registry.MustRegister(v)
		}
		if len(d.Labels) == 0 {
			m.touch(d.Name)
		}
	}
	m.gauges[buildInfo].WithLabelValues(version, runtime.Version()).Set(1)
	return m
}

// touch makes a metric without labels visible at 0, so that an alert on its rise sees the rise.
func (m *Metrics) touch(name string) {
	if c := m.counters[name]; c != nil {
		c.WithLabelValues()
	}
	if h := m.histograms[name]; h != nil {
		h.WithLabelValues()
	}
	if g := m.gauges[name]; g != nil {
		g.WithLabelValues()
	}
}

// Watch has the gauges of a kernel read by f whenever someone scrapes; f must be quick.
func (m *Metrics) Watch(f func() Sample) { m.sample.Store(&f) }

// Handler answers /metrics in the Prometheus text format.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry, EnableOpenMetrics: false})
}

func (m *Metrics) count(name string, by float64, labels ...string) {
	m.counters[name].WithLabelValues(labels...).Add(by)
}

func (m *Metrics) took(name string, d time.Duration, labels ...string) {
	m.histograms[name].WithLabelValues(labels...).Observe(d.Seconds())
}

// TurnAccepted: a turn is durable.
func (m *Metrics) TurnAccepted(agent string) { m.count(turnsAccepted, 1, agent) }

// TurnEnded: a turn that ran here ended; kind is empty unless it failed.
func (m *Metrics) TurnEnded(agent string, state session.TurnState, kind fault.Kind, took time.Duration) {
	m.count(turnsEnded, 1, agent, string(state), string(kind))
	m.took(turnSeconds, took, agent)
}

// StepEnded: a call ended; failure is empty when it went well.
func (m *Metrics) StepEnded(agent string, kind session.StepKind, name string, failure fault.Kind, took time.Duration, tokensIn, tokensOut int64) {
	name = m.names.keep(kind, name)
	m.count(steps, 1, agent, string(kind), name, string(failure))
	m.took(stepSeconds, took, string(kind), name)
	if tokensIn > 0 {
		m.count(tokens, float64(tokensIn), agent, name, "in")
	}
	if tokensOut > 0 {
		m.count(tokens, float64(tokensOut), agent, name, "out")
	}
}

// Appended: the store answered an append.
func (m *Metrics) Appended(took time.Duration, err error) {
	outcome := "ok"
	switch {
	case errors.Is(err, session.ErrConflict):
		outcome = "conflict"
	case err != nil:
		outcome = "error"
	}
	m.count(appends, 1, outcome)
	m.took(appendSeconds, took)
}

// Claimed: this replica took a session that had unfinished work.
func (m *Metrics) Claimed(cause string) { m.count(claims, 1, cause) }

// InDoubt: a call's outcome is unknown.
func (m *Metrics) InDoubt(tool string) {
	m.count(doubts, 1, m.names.keep(session.ToolStep, tool))
}

// Wasted: a model's answer was paid for and could not be recorded.
func (m *Metrics) Wasted(agent string, n int64) { m.count(wasted, float64(n), agent) }

// Diverged: a recorded answer stood although the question had changed.
func (m *Metrics) Diverged(agent string) { m.count(turnsDiverged, 1, agent) }

// StoreRolledBack: the store lost records that this replica had seen, and so many of them were put back.
func (m *Metrics) StoreRolledBack(putBack int) {
	m.count(rollbacks, 1)
	m.count(reappended, float64(putBack))
}

// Spent: a model's answer cost so many dollars.
func (m *Metrics) Spent(agent, model string, amount float64) { m.count(dollars, amount, agent, model) }

// Rested: a turn came to wait.
func (m *Metrics) Rested(agent string, reason session.WaitReason) {
	m.count(rests, 1, agent, string(reason))
}

// Decided: a question to a person was answered, or ran out.
func (m *Metrics) Decided(outcome string) { m.count(decisions, 1, outcome) }

// Degraded: a reply is less than what was asked for.
func (m *Metrics) Degraded(agent, what string) { m.count(degradations, 1, agent, what) }

// LostByStore: someone asked for a turn that the store no longer has.
func (m *Metrics) LostByStore() { m.count(turnsLost, 1) }

// HTTPServed: a request was answered. route is a pattern, not a path.
func (m *Metrics) HTTPServed(route, method string, status int, took time.Duration) {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
	default:
		method = "other"
	}
	m.count(requests, 1, route, method, strconv.Itoa(status))
	m.took(requestSeconds, took, route)
}

// HTTPStreaming: so many streams more, or fewer, are open.
func (m *Metrics) HTTPStreaming(change int) {
	m.gauges[streams].WithLabelValues().Add(float64(change))
}

// readings are the gauges that are read from a [Sample].
var readings = map[string]func(Sample) float64{
	sessionsRunning: func(s Sample) float64 { return float64(s.Running) },
	storeUp:         func(s Sample) float64 { return oneIf(s.StoreUp) },
	leaseOK:         func(s Sample) float64 { return oneIf(s.LeaseOK) },
	replicasLive:    func(s Sample) float64 { return float64(s.Replicas) },
	replicaConfigs:  func(s Sample) float64 { return float64(s.Configs) },
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// reading is one gauge that is read when it is scraped. Before [Metrics.Watch] there is none.
type reading struct {
	m    *Metrics
	desc *prometheus.Desc
	read func(Sample) float64
}

func (r *reading) Describe(c chan<- *prometheus.Desc) { c <- r.desc }

func (r *reading) Collect(c chan<- prometheus.Metric) {
	if f := r.m.sample.Load(); f != nil {
		c <- prometheus.MustNewConstMetric(r.desc, prometheus.GaugeValue, r.read((*f)()))
	}
}

// bounded keeps the first values of a label apart, for each kind of value.
type bounded struct {
	mu   sync.Mutex
	seen map[session.StepKind]map[string]bool
}

// keep is the value, or "other" when there are enough of that kind.
func (b *bounded) keep(kind session.StepKind, value string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.seen == nil {
		b.seen = map[session.StepKind]map[string]bool{}
	}
	if b.seen[kind] == nil {
		b.seen[kind] = map[string]bool{}
	}
	if !b.seen[kind][value] {
		if len(b.seen[kind]) >= MaxValues {
			return "other"
		}
		b.seen[kind][value] = true
	}
	return value
}
