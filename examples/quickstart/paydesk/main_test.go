package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func ask(t *testing.T, d *desk, method, path, key, body string) (int, string) {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	w := httptest.NewRecorder()
	d.routes().ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func reopen(t *testing.T, path string) *desk {
	t.Helper()
	d, err := open(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.file.Close() })
	return d
}

func TestTheLedgerTellsEveryChargeAndOutlivesTheDesk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "ledger.jsonl")
	d := reopen(t, path)
	if code, _ := ask(t, d, "GET", "/charge/k1", "", ""); code != http.StatusNotFound {
		t.Errorf("before the charge: %d", code)
	}
	const order = `{"order":"A-1","amount":12.5}`
	const receipt = `{"amount":12.5,"order":"A-1","receipt":"R-0001"}`
	if code, body := ask(t, d, "POST", "/charge", "k1", order); code != http.StatusOK || body != receipt {
		t.Errorf("the charge: %d %s", code, body)
	}
	d = reopen(t, path)
	if code, body := ask(t, d, "GET", "/charge/k1", "", ""); code != http.StatusOK || body != receipt {
		t.Errorf("after the charge: %d %s", code, body)
	}
	_, _ = ask(t, d, "POST", "/charge", "k1", order)
	if data, err := os.ReadFile(path); err != nil || strings.Count(string(data), "\n") != 2 || !strings.Contains(string(data), "R-0002") {
		t.Errorf("a second charge with the same key must be seen in the ledger: %s, %v", data, err)
	}
	for _, bad := range [][2]string{{"", order}, {"k2", "{}"}, {"k2", `{"order":"A","amount":-1}`}, {"k2", "x"}} {
		if code, _ := ask(t, d, "POST", "/charge", bad[0], bad[1]); code < 400 || code > 499 {
			t.Errorf("%q: %d", bad, code)
		}
	}
}

func TestTheWeatherInACityIsAlwaysTheSame(t *testing.T) {
	d := reopen(t, filepath.Join(t.TempDir(), "ledger.jsonl"))
	_, first := ask(t, d, "GET", "/weather?city=Lisbon", "", "")
	if _, again := ask(t, d, "GET", "/weather?city=Lisbon", "", ""); again != first || !strings.Contains(first, "celsius") {
		t.Errorf("%s, then %s", first, again)
	}
	if code, _ := ask(t, d, "GET", "/weather", "", ""); code != http.StatusBadRequest {
		t.Errorf("no city: %d", code)
	}
}

func TestASupervisedCommandsExitCodeIsPassedOn(t *testing.T) {
	for script, want := range map[string]int{"exit 0": 0, "exit 3": 3} {
		if code, err := supervise([]string{"sh", "-c", script}); code != want || err != nil {
			t.Errorf("%s: %d, %v", script, code, err)
		}
	}
	if _, err := supervise([]string{"/nowhere"}); err == nil {
		t.Error("a command that is not there was started")
	}
}
