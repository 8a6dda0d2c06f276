package telemetry

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

var update = flag.Bool("update", false, "write golden files instead of comparing with them")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Errorf("%s is not what the code says; if the change is meant, run go test ./telemetry -update\n%s", file, got)
	}
}

func TestTheMetricListIsTheReviewedOne(t *testing.T) {
	var b strings.Builder
	for _, m := range List {
		fmt.Fprintf(&b, "%s %s %q {%s} %v\n\t%s\n", m.Name, m.Type, m.Unit, strings.Join(m.Labels, ","), m.Buckets, m.Help)
	}
	golden(t, "testdata/metrics.golden", b.String())
}

func TestThePageOfMetricsIsWrittenFromTheList(t *testing.T) {
	golden(t, "../docs/metrics.md", Document())
}

func TestNamesFollowTheConventions(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range List {
		if seen[m.Name] {
			t.Errorf("%s is there twice", m.Name)
		}
		seen[m.Name] = true
		total := strings.HasSuffix(m.Name, "_total")
		switch {
		case !strings.HasPrefix(m.Name, "ak_"), m.Help == "", !strings.HasSuffix(m.Help, "."), strings.Contains(m.Help, "|"):
			t.Errorf("%s: name or help", m.Name)
		case (m.Type == Counter) != total:
			t.Errorf("%s: a counter, and only a counter, ends in _total", m.Name)
		case (m.Type == Histogram) != (len(m.Buckets) > 0) || !slices.IsSorted(m.Buckets):
			t.Errorf("%s: buckets %v", m.Name, m.Buckets)
		case m.Type == Histogram && (m.Unit != "seconds" || !strings.HasSuffix(m.Name, "_seconds")):
			t.Errorf("%s: unit %s", m.Name, m.Unit)
		}
	}
}

// everything tells m one of each thing.
func everything(m *Metrics) {
	m.TurnAccepted("a")
	m.TurnEnded("a", session.Failed, fault.Budget, 2*time.Second)
	m.StepEnded("a", session.ModelStep, "p/m", "", time.Second, 10, 20)
	m.StepEnded("a", session.ToolStep, "t", fault.Transient, time.Second, 0, 0)
	m.Appended(time.Millisecond, nil)
	m.Appended(time.Millisecond, fmt.Errorf("at 3: %w", session.ErrConflict))
	m.Appended(time.Millisecond, errors.New("no answer"))
	m.Claimed("takeover")
	m.InDoubt("t")
	m.Diverged("a")
	m.Wasted("a", 7)
	m.StoreRolledBack(4)
	m.Spent("a", "p/m", 0.25)
	m.Rested("a", session.WaitApproval)
	m.Decided("approve")
	m.Degraded("a", "limits.steps")
	m.LostByStore()
	m.HTTPServed("/api/v1/chat", "POST", 200, time.Second)
	m.HTTPServed("/api/v1/chat", "BREW", 405, time.Second)
	m.HTTPStreaming(1)
	m.HTTPStreaming(1)
	m.HTTPStreaming(-1)
	m.Watch(func() Sample { return Sample{Running: 3, StoreUp: true} })
}

func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	b, err := io.ReadAll(w.Result().Body)
	if err != nil || w.Code != 200 {
		t.Fatal(w.Code, err)
	}
	return string(b)
}

func TestEveryMetricOfTheListIsServedAndNoOther(t *testing.T) {
	m := New("1.2.3")
	everything(m)
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	served := map[string]bool{}
	for _, f := range families {
		name := f.GetName()
		i := slices.IndexFunc(List, func(m Metric) bool { return m.Name == name })
		if i < 0 {
			if strings.HasPrefix(name, "ak_") {
				t.Errorf("%s is not in the list", name)
			}
			continue
		}
		served[name] = true
		if f.GetHelp() != List[i].Help || !strings.EqualFold(f.GetType().String(), string(List[i].Type)) {
			t.Errorf("%s: %s %q", name, f.GetType(), f.GetHelp())
		}
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		if want := slices.Sorted(slices.Values(List[i].Labels)); !slices.Equal(labels, want) {
			t.Errorf("%s has labels %v, not %v", name, labels, want)
		}
	}
	for _, d := range List {
		if !served[d.Name] {
			t.Errorf("%s is not served", d.Name)
		}
	}
}

func TestWhatIsToldIsWhatIsScraped(t *testing.T) {
	m := New("1.2.3")
	everything(m)
	text := scrape(t, m)
	for _, line := range []string{
		`ak_turns_accepted_total{agent="a"} 1`,
		`ak_turns_ended_total{agent="a",code="budget",state="failed"} 1`,
		`ak_turn_run_seconds_sum{agent="a"} 2`,
		`ak_steps_total{agent="a",code="",kind="model",name="p/m"} 1`,
		`ak_steps_total{agent="a",code="transient",kind="tool",name="t"} 1`,
		`ak_model_tokens_total{agent="a",direction="in",model="p/m"} 10`,
		`ak_model_tokens_total{agent="a",direction="out",model="p/m"} 20`,
		`ak_store_appends_total{outcome="ok"} 1`,
		`ak_store_appends_total{outcome="conflict"} 1`,
		`ak_store_appends_total{outcome="error"} 1`,
		`ak_store_append_seconds_count 3`,
		`ak_claims_total{cause="takeover"} 1`,
		`ak_tool_calls_in_doubt_total{tool="t"} 1`,
		`ak_turns_diverged_total{agent="a"} 1`,
		`ak_wasted_tokens_total{agent="a"} 7`,
		`ak_store_rollbacks_total 1`,
		`ak_turns_lost_by_store_total 1`,
		`ak_http_requests_total{method="POST",route="/api/v1/chat",status="200"} 1`,
		`ak_http_requests_total{method="other",route="/api/v1/chat",status="405"} 1`,
		`ak_http_streams 1`,
		`ak_turns_running 3`,
		`ak_store_up 1`,
		`ak_lease_ok 0`,
		`go_goroutines `,
		`process_open_fds `,
		`ak_build_info{go="`,
		`version="1.2.3"} 1`,
	} {
		if !strings.Contains(text, line) {
			t.Errorf("no line %s", line)
		}
	}
}

func TestMetricsWithoutLabelsStartAtZero(t *testing.T) {
	text := scrape(t, New("dev"))
	for _, line := range []string{"ak_store_rollbacks_total 0", "ak_turns_lost_by_store_total 0", "ak_http_streams 0", "ak_store_append_seconds_count 0"} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
	if strings.Contains(text, "ak_store_up") {
		t.Error("the store's state is told before anyone knows it")
	}
}

func TestNamesFromOutsideDoNotMakeSeriesWithoutEnd(t *testing.T) {
	m := New("dev")
	for i := range 3 * MaxValues {
		m.StepEnded("a", session.UserStep, "fetch-"+strconv.Itoa(i), "", time.Second, 0, 0)
	}
	m.StepEnded("a", session.ToolStep, "t", "", time.Second, 0, 0)
	text := scrape(t, m)
	if n := strings.Count(text, "ak_steps_total{"); n != MaxValues+2 {
		t.Errorf("%d series", n)
	}
	for _, line := range []string{
		fmt.Sprintf(`ak_steps_total{agent="a",code="",kind="step",name="other"} %d`, 2*MaxValues),
		`ak_steps_total{agent="a",code="",kind="tool",name="t"} 1`,
	} {
		if !strings.Contains(text, line) {
			t.Errorf("no line %s", line)
		}
	}
}
