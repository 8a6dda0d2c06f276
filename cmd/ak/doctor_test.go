package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel/config"
	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/store/memory"
)

func TestSQLiteOnANetworkFileSystemIsRefused(t *testing.T) {
	place := filepath.Join(t.TempDir(), "not", "there", "yet.db")
	for name, c := range map[string]struct {
		found disk
		err   error
		want  fault.Kind
	}{
		"NFS":         {disk{network: "NFS"}, nil, fault.Config},
		"FUSE":        {disk{unsure: "FUSE"}, nil, ""},
		"local":       {disk{}, nil, ""},
		"nobody says": {disk{network: "NFS"}, errors.New("no statfs"), ""},
	} {
		err := localOnly(place, func(path string) (disk, error) {
			if strings.HasPrefix(place, path) && !strings.HasSuffix(path, "not") {
				return c.found, c.err
			}
			return disk{}, errors.New("asked about " + path)
		})
		if c.want == "" && err != nil || c.want != "" && fault.KindOf(err) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := localOnly(place, diskOf); err != nil {
		t.Errorf("the disk of the tests: %v", err)
	}
}

// states are what a doctor found, in short.
func (d *doctor) states() (all []string) {
	for _, f := range d.all {
		all = append(all, f.State+" "+f.Check+": "+f.What)
	}
	return all
}

func (d *doctor) expect(t *testing.T, name, state, part string) {
	t.Helper()
	for _, s := range d.states() {
		if strings.HasPrefix(s, state) && strings.Contains(s, part) {
			return
		}
	}
	t.Errorf("%s: no %s with %q in %q", name, state, part, d.states())
}

func TestADoctorSeesWhatIsWrongWithAConfiguration(t *testing.T) {
	tools := func(d *doctor) { d.checkTools(context.Background()) }
	const head = "providers: {o: {type: scripted}}\nagents: [{name: a, model: o/m, tools: [pay]}]\n"
	const tool = "tools: [{name: pay, http: {url: \"http://h/\"}}]\n"
	for name, c := range map[string]struct {
		text, state, part string
		check             func(*doctor)
	}{
		"a lossy store":         {head + tool + "session: {type: in_memory}", stateFail, "pay must never act twice", tools},
		"a lossy store, agreed": {head + tool + "session: {type: in_memory, accept_loss: true}", stateWarn, "pay may act twice", tools},
		"no MCP program":        {"providers: {o: {type: scripted}}\ntools: [{name: x, mcp: {command: [no-such-program]}}]\n", stateFail, "no-such-program", tools},
		"a store":               {head + tool, stateOK, "at most once: pay", tools},
		"everything reachable":  {head + tool + "egress: {allow: [0.0.0.0/0]}", stateWarn, "everything", (*doctor).checkEgress},
		"cloud credentials":     {head + tool + "egress: {allow: [169.254.0.0/16]}", stateWarn, "credentials", (*doctor).checkEgress},
		"some hosts":            {head + tool, stateOK, "h:80", (*doctor).checkEgress},
		"an open door":          {head + tool + "api: {host: 0.0.0.0}\nauth: {mode: none}", stateWarn, "everyone", (*doctor).checkAccess},
		"few files":             {head + tool + "execution: {max_running_turns: 1000000}", stateWarn, "open files", (*doctor).checkLimits},
		"no key":                {"providers: {openai: {}}\nagents: [{name: a, model: openai/m}]", stateFail, "api_key is missing", (*doctor).checkConfig},
		"a key":                 {"providers: {openai: {api_key: k}}\nagents: [{name: a, model: openai/m}]", stateOK, "openai (openai) has a key", (*doctor).checkProviders},
	} {
		d := &doctor{cfg: loaded(t, c.text)}
		c.check(d)
		d.expect(t, name, c.state, c.part)
	}
}

func TestADoctorComparesMemoryLimits(t *testing.T) {
	const mib = 1 << 20
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	for name, c := range map[string]struct {
		limit   int64
		env     string
		goLimit int64
		state   string
	}{
		"no container":      {0, "", 1, stateOK},
		"follows":           {512 * mib, "", before, stateOK},
		"tiny":              {64 * mib, "", before, stateWarn},
		"set and below":     {512 * mib, "400MiB", 400 * mib, stateOK},
		"set and above":     {512 * mib, "1GiB", 1024 * mib, stateWarn},
		"set and too close": {512 * mib, "511MiB", 511 * mib, stateWarn},
	} {
		t.Setenv(envMemoryLimit, c.env)
		debug.SetMemoryLimit(c.goLimit)
		d := &doctor{}
		d.checkMemory(c.limit, c.limit > 0)
		if len(d.all) != 1 || d.all[0].State != c.state {
			t.Errorf("%s: %q", name, d.states())
		}
	}
}

// forgetful is a store that acknowledges and keeps nothing.
type forgetful struct{ session.Store }

func (forgetful) Append(context.Context, session.Key, session.Position, session.Record, session.Attention) error {
	return nil
}

func TestAProbeLeavesNothingAndNoticesALie(t *testing.T) {
	store := memory.New()
	if _, err := probe(context.Background(), store); err != nil {
		t.Fatal(err)
	}
	if all, err := store.List(context.Background(), session.Query{}); len(all) != 0 || err != nil {
		t.Errorf("%v is left, %v", all, err)
	}
	if _, err := probe(context.Background(), forgetful{store}); err == nil || !strings.Contains(err.Error(), "could not be read") {
		t.Errorf("a store that forgets: %v", err)
	}
	_ = store.Close()
	if _, err := probe(context.Background(), store); err == nil || !strings.Contains(err.Error(), "could not be written") {
		t.Errorf("a closed store: %v", err)
	}
}

func TestProvidersAreAskedOnlyOnline(t *testing.T) {
	asked := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		w.Header().Set("Date", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))
		if r.URL.Path != "/v1/models" || r.Header.Get("Authorization") != "Bearer right" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer s.Close()
	text := "session: {type: in_memory}\nproviders: {p: {type: openai_compatible, base_url: \"" + s.URL + "/v1\", api_key: KEY}}\nagents: [{name: a, model: p/m}]\n"
	d := &doctor{cfg: loaded(t, strings.Replace(text, "KEY", "right", 1))}
	d.look(context.Background())
	if asked != 0 {
		t.Errorf("asked %d times", asked)
	}
	d.online = true
	d.checkOnline(context.Background())
	d.expect(t, "right", stateOK, "p answers (200)")
	d.expect(t, "an hour off", stateFail, "the clock of p is -1h0m")
	d = &doctor{cfg: loaded(t, strings.Replace(text, "KEY", "wrong-key", 1))}
	d.checkOnline(context.Background())
	d.expect(t, "wrong", stateFail, "does not know the key")
	if strings.Contains(strings.Join(d.states(), ""), "wrong-key") {
		t.Error("the key is shown")
	}
}

func TestWhatADoctorFindsIsTheExitCode(t *testing.T) {
	var out bytes.Buffer
	a := &app{out: &out, err: io.Discard, format: asTable}
	d := &doctor{}
	d.ok("one", "fine")
	d.warn("two", "mend it", "not\nso fine")
	if err := a.findings(d.all); err != nil || out.String() != "ok    one            fine\nwarn  two            not so fine\n                     Try: mend it\n1 ok, 1 to look at, 0 that fail\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
	d.failed("three", &config.Problems{})
	d.failed("four", fault.New(fault.Config, "", "bad").WithTry("this"))
	if err := a.findings(d.all); exitCode(err) != fault.ExitFailed {
		t.Error(err)
	}
}
