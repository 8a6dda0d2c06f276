package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/config"
	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/store/memory"
)

// prepared is a store whose set-up can be made and judged, as the stub says.
type prepared struct {
	session.Store
	did      []string
	findings []session.Finding
	err      error // of Init, Examine and Meta
	meta     *session.Meta
}

func (p *prepared) Init(context.Context) ([]string, error) { return p.did, p.err }

func (p *prepared) Examine(context.Context) ([]session.Finding, error) { return p.findings, p.err }

func (p *prepared) Meta(ctx context.Context) (session.Meta, error) {
	if p.err != nil || p.meta == nil {
		m, err := p.Store.Meta(ctx)
		return m, errors.Join(p.err, err)
	}
	return *p.meta, nil
}

func stub(t *testing.T) *prepared {
	store := memory.New()
	t.Cleanup(func() { _ = store.Close() })
	return &prepared{Store: store}
}

func TestInitSaysWhatItDidAndWhetherTheStoreIsReady(t *testing.T) {
	down := fault.New(fault.Unavailable, "redis.Init", "no server answers")
	newer := &session.Meta{Format: session.StoreFormat + 1, Generation: 1, Buckets: 1}
	for name, c := range map[string]struct {
		store  prepared
		format string
		want   string
		code   int
	}{
		"made":          {prepared{did: []string{"made the table t", "made the index due"}}, asTable, "made the table t\nmade the index due\nthe in_memory store is ready: format 1, generation 1\n", 0},
		"nothing":       {prepared{}, asTable, "nothing to do\nthe in_memory store is ready: format 1, generation 1\n", 0},
		"half":          {prepared{did: []string{"made the table t"}, err: down}, asTable, "made the table t\n", fault.ExitUnavailable},
		"half, as JSON": {prepared{did: []string{"made the table t"}, err: down}, asJSON, "{\n  \"store\": \"in_memory\",\n  \"did\": [\n    \"made the table t\"\n  ],\n  \"ready\": false\n}\n", fault.ExitUnavailable},
		"newer":         {prepared{meta: newer}, asTable, "", fault.Unreadable.Trait().Exit},
	} {
		s := c.store
		s.Store = stub(t).Store
		var out bytes.Buffer
		a := &app{out: &out, err: io.Discard, format: c.format}
		err := a.initStore(t.Context(), &s)
		if out.String() != c.want || (err == nil) != (c.code == 0) || err != nil && exitCode(err) != c.code {
			t.Errorf("%s: %q, %v", name, out.String(), err)
		}
	}
	var out bytes.Buffer
	a := &app{out: &out, format: asTable}
	if err := a.initStore(t.Context(), stub(t).Store); err != nil || !strings.HasPrefix(out.String(), "nothing to do\n") {
		t.Errorf("a store that needs nothing: %q, %v", out.String(), err)
	}
}

func TestInfoShowsTheWholeTable(t *testing.T) {
	s := stub(t)
	s.meta = &session.Meta{Format: 1, Generation: 3, Buckets: 1024, Prefix: "ak:"}
	var out bytes.Buffer
	a := &app{out: &out, format: asTable}
	if err := a.describeStore(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	wants := []string{"format 1, generation 3, 1024 part(s) of the agenda, prefix ak:\n", "FAULT "}
	for _, f := range s.Durability().Faults() {
		wants = append(wants, f.Fault+" ", string(f.Loses))
	}
	for _, want := range wants {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	s.err = errors.New("gone")
	if err := a.describeStore(t.Context(), s); exitCode(err) != fault.ExitUnavailable {
		t.Errorf("a store that does not answer: %v", err)
	}
}

func TestADoctorAsksTheStoresServer(t *testing.T) {
	const text = "session: {type: redis, redis: {url: \"redis://:canary@h\"}}\nproviders: {o: {type: scripted}}\nagents: [{name: a, model: o/m}]\n"
	s := stub(t)
	d := &doctor{cfg: loaded(t, text), opened: func(context.Context, *config.Config) (session.Store, error) { return unclosed{s}, nil }}
	s.findings = []session.Finding{
		{Check: "eviction", Severity: session.FindingFail, Text: "maxmemory-policy is allkeys-lru", Try: "noeviction"},
		{Check: "persistence", Severity: session.FindingWarn, Text: "appendonly is no", Try: "yes"},
		{Check: "server", Severity: session.FindingOK, Text: "version 8"},
		{Check: "odd", Severity: "odd", Text: "who knows"},
	}
	d.checkStore(t.Context())
	d.expect(t, "the probe", stateOK, "erased in redis://***@h")
	d.expect(t, "eviction", stateFail, "eviction: maxmemory-policy is allkeys-lru")
	d.expect(t, "persistence", stateWarn, "persistence: appendonly is no")
	d.expect(t, "server", stateOK, "server: version 8")
	d.expect(t, "what is no severity", stateFail, "odd: who knows")

	d.all, s.findings, s.err = nil, nil, fault.New(fault.Unavailable, "redis.Examine", "INFO was refused").WithTry("give the user +info")
	d.checkStore(t.Context())
	d.expect(t, "a server that says nothing", stateFail, "cannot be asked how it is set up: INFO was refused")

	d.all, s.Store = nil, silentStore{s.Store}
	ctx, stop := context.WithTimeout(t.Context(), 0)
	defer stop()
	d.checkStore(ctx)
	if len(d.all) != 1 || d.all[0].State != stateFail || !strings.Contains(d.all[0].What, "did not answer") || d.all[0].Try == "" {
		t.Errorf("a store that does not answer: %+v", d.all)
	}
	if strings.Contains(strings.Join(d.states(), ""), "canary") {
		t.Error("the password is shown")
	}
}

// unclosed keeps a store open for the next check.
type unclosed struct{ *prepared }

func (unclosed) Close() error { return nil }

// silentStore never answers.
type silentStore struct{ session.Store }

func (silentStore) Append(ctx context.Context, _ session.Key, _ session.Position, _ session.Record, _ session.Attention) error {
	<-ctx.Done()
	return ctx.Err()
}

// lossy is a store that may lose what it acknowledged.
type lossy struct{ session.Store }

func (l lossy) Durability() session.Durability {
	d := l.Store.Durability()
	d.Failover = session.Exposure{Loses: session.LosesRecent}
	return d
}

func TestADoctorJudgesToolsByWhatTheStoreDeclares(t *testing.T) {
	const text = "session: {type: redis, accept_loss: LOSS, redis: {url: \"redis://h\"}}\nproviders: {o: {type: scripted}}\ntools: [{name: pay, http: {url: \"http://h/\"}}]\n"
	for loss, state := range map[string]string{"false": stateFail, "true": stateWarn} {
		d := &doctor{cfg: loaded(t, strings.Replace(text, "LOSS", loss, 1))}
		d.opened = func(context.Context, *config.Config) (session.Store, error) { return lossy{stub(t)}, nil }
		d.checkTools(t.Context())
		d.expect(t, "a level that may lose", state, "the redis store, as it is set up, could forget")
		if !slices.ContainsFunc(d.all, func(f finding) bool { return strings.Contains(f.Try, "session.type: postgres") }) {
			t.Errorf("no advice in %+v", d.all)
		}
	}
}

func TestReplicasWithAnotherConfigurationAreMarked(t *testing.T) {
	list := []agentkernel.ReplicaInfo{
		{ID: "r1", Zone: "a", Version: "1.0", Digest: strings.Repeat("a1", 32)},
		{ID: "r2", Version: "1.0", Digest: strings.Repeat("a1", 32), Draining: true},
		{ID: "r3", Zone: "b", Version: "1.1", Digest: strings.Repeat("b2", 32)},
	}
	var out, errs bytes.Buffer
	a := &app{out: &out, err: &errs, format: asTable}
	if err := a.showReplicas(list); err != nil {
		t.Fatal(err)
	}
	const want = "REPLICA  ZONE  VERSION  STATE     CONFIG\n" +
		"r1       a     1.0      serving   a1a1a1a1a1a1…\n" +
		"r2       -     1.0      draining  a1a1a1a1a1a1…\n" +
		"r3       b     1.1      serving   b2b2b2b2b2b2… drift\n"
	if out.String() != want || !strings.HasPrefix(errs.String(), "2 configurations are in use") {
		t.Errorf("%s\n%s", out.String(), errs.String())
	}
	if n := configsOf(list); n != 2 {
		t.Errorf("%d configurations", n)
	}
}

// TestTwoReplicasSeeEachOtherAndTheirDrift: two processes over one store, on ports and in zones of their own, are alike
// until their configuration differs.
func TestTwoReplicasSeeEachOtherAndTheirDrift(t *testing.T) {
	dir := quickConfig(t, "127.0.0.1:1")
	first := serverWith(t, dir, "--set", "execution.zone=za")
	serverWith(t, dir, "--set", "execution.zone=zb")
	type answer struct {
		Replicas []agentkernel.ReplicaInfo `json:"replicas"`
	}
	var list answer
	eventually(t, func() bool {
		out, errs, code := first.ak("replicas", "-o", "json")
		if err := json.Unmarshal([]byte(out), &list); err != nil || code != 0 {
			t.Fatalf("exit code %d: %s%s", code, out, errs)
		}
		return len(list.Replicas) == 2
	})
	if a, b := list.Replicas[0], list.Replicas[1]; a.Zone != "za" || b.Zone != "zb" || a.Digest != b.Digest {
		t.Errorf("%+v", list)
	}
	third := serverWith(t, dir, "--set", "execution.max_recoveries=9")
	eventually(t, func() bool {
		out, errs, _ := first.ak("replicas")
		return strings.Count(out, " drift\n") == 1 && strings.Contains(errs, "2 configurations")
	})
	eventually(t, func() bool {
		text := third.page("/metrics")
		return strings.Contains(text, "\nak_replicas_live 3\n") && strings.Contains(text, "\nak_replica_configs 2\n")
	})
}

// eventually waits until other processes have come to what holds.
func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patient); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("it did not come to that")
		}
	}
}

// page is what a server answers.
func (p *process) page(path string) string {
	p.t.Helper()
	res, err := http.Get(p.url + path)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(b)
}
