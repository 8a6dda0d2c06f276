package agentkernel_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// block is a fenced block of a page.
type block struct{ page, text string }

func consoleBlocks(t *testing.T) (all []block) {
	fence := regexp.MustCompile("(?ms)^```console\n(.*?)^```$")
	texts := pages(t)
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		for _, m := range fence.FindAllStringSubmatch(texts[name], -1) {
			all = append(all, block{name, m[1]})
		}
	}
	return all
}

// TestTheCommandsOfThePagesWork runs every console block of the documentation against a server with the quickstart's
// configuration. A line that begins with "$ " is a command; the lines below it must be in what it prints, in that order,
// where "…" stands for anything. Commands of make and go, which build or test this module, are only checked for what they
// name.
func TestTheCommandsOfThePagesWork(t *testing.T) {
	w := newWorkplace(t)
	ran := 0
	for _, b := range consoleBlocks(t) {
		for _, c := range commands(b) {
			if known, ok := w.checkOnly(c.line); ok {
				if known != nil {
					t.Errorf("%s: $ %s: %v", b.page, c.line, known)
				}
				continue
			}
			ran++
			out, err := w.run(c.line)
			if err != nil {
				t.Errorf("%s: $ %s: %v\n%s", b.page, c.line, err, out)
			} else if missing := c.missing(out); missing != "" {
				t.Errorf("%s: $ %s does not print %q but\n%s", b.page, c.line, missing, out)
			}
		}
	}
	if ran < 10 {
		t.Errorf("only %d commands were run", ran)
	}
}

// command is one line that a reader may type, and what the page says that it prints.
type command struct {
	line   string
	prints []string
}

func commands(b block) (all []command) {
	for _, line := range strings.Split(strings.TrimSpace(b.text), "\n") {
		if c, ok := strings.CutPrefix(line, "$ "); ok {
			all = append(all, command{line: c})
		} else if n := len(all) - 1; n >= 0 && strings.HasSuffix(all[n].line, "\\") {
			all[n].line += "\n" + line
		} else if n >= 0 && strings.Trim(line, " …") != "" {
			all[n].prints = append(all[n].prints, line)
		}
	}
	return all
}

// missing is the first line that should be in out and is not.
func (c command) missing(out string) string {
	lines := strings.Split(out, "\n")
	for _, want := range c.prints {
		pattern := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(strings.TrimRight(want, " ")), "…", ".*") + `\s*$`)
		i := slices.IndexFunc(lines, pattern.MatchString)
		if i < 0 {
			return want
		}
		lines = lines[i+1:]
	}
	return ""
}

// workplace is a folder that looks like the root of a checkout after make build, and a server of its own.
type workplace struct {
	t    *testing.T
	dir  string
	root string
	url  string
	vars []string // for the commands
}

func newWorkplace(t *testing.T) *workplace {
	t.Helper()
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	w := &workplace{t: t, dir: t.TempDir(), root: root}
	build := exec.Command("go", "build", "-o", filepath.Join(w.dir, "bin", "ak"), "./cmd/ak")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := os.CopyFS(filepath.Join(w.dir, "examples"), os.DirFS("examples")); err != nil {
		t.Fatal(err)
	}
	w.vars = append(os.Environ(), "PATH="+filepath.Join(w.dir, "bin")+string(os.PathListSeparator)+os.Getenv("PATH"),
		"AK_CONFIG_PATH_OVERRIDE="+filepath.Join(w.dir, "examples/quickstart/config.yaml"), "AK_LOG__LEVEL=warn")
	w.serve(newDesk(t))
	port := w.url[strings.LastIndex(w.url, ":")+1:]
	w.vars = append(w.vars, "AK_API__PORT="+port)
	w.leaveOneInDoubt()
	return w
}

// newDesk is the quickstart's payment desk, except that it loses its answer, and its memory, for order B-2.
func newDesk(t *testing.T) string {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /charge", func(rw http.ResponseWriter, r *http.Request) {
		var order struct {
			Order string `json:"order"`
		}
		_ = json.NewDecoder(r.Body).Decode(&order)
		if order.Order == "B-2" {
			panic(http.ErrAbortHandler)
		}
		fmt.Fprintf(rw, `{"receipt":"R-0001","order":%q}`, order.Order)
	})
	mux.HandleFunc("GET /charge/{key}", func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusInternalServerError) })
	mux.HandleFunc("GET /weather", func(rw http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(rw, `{"celsius":19,"city":%q,"sky":"light clouds"}`, r.FormValue("city"))
	})
	desk := httptest.NewServer(mux)
	t.Cleanup(desk.Close)
	return desk.URL
}

func (w *workplace) serve(desk string) {
	t := w.t
	t.Helper()
	logged, err := os.Create(filepath.Join(w.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	server := exec.Command("bin/ak", "serve", "--port", "0", "--set", "execution.lease_ttl=1s", "--set", "execution.sweep_interval=200ms",
		"--set", "tools.charge_card.timeout=200ms", "--set", "tools.charge_card.http.url="+desk+"/charge",
		"--set", "tools.charge_card.reconcile.http.url="+desk+"/charge/{idempotency_key}",
		"--set", "tools.get_weather.http.url="+desk+"/weather?city={city}")
	server.Dir, server.Env, server.Stderr = w.dir, w.vars, logged
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGTERM)
		if err := server.Wait(); err != nil {
			t.Errorf("ak serve: %v\n%s", err, read(t, logged.Name()))
		}
		_ = logged.Close()
	})
	listening := regexp.MustCompile(`http://127\.0\.0\.1:\d+`)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); w.url == ""; <-tick.C {
		w.url = listening.FindString(read(t, logged.Name()))
		if time.Now().After(deadline) {
			t.Fatalf("ak serve does not say where it listens:\n%s", read(t, logged.Name()))
		}
	}
}

// leaveOneInDoubt leaves a turn that waits for a person, for the pages that show how to settle one.
func (w *workplace) leaveOneInDoubt() {
	out, err := w.run(`ak chat "charge order B-2 5.00"; test $? = 7`)
	if err != nil {
		w.t.Fatalf("no turn waits: %v\n%s", err, out)
	}
}

func (w *workplace) run(line string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if w.url != "" {
		line = strings.ReplaceAll(line, "http://127.0.0.1:8000", w.url)
	}
	c := exec.CommandContext(ctx, "sh", "-c", line)
	c.Dir, c.Env = w.dir, w.vars
	out, err := c.CombinedOutput()
	return string(out), err
}

// checkOnly handles commands that are not run here; ok says that this is one.
func (w *workplace) checkOnly(line string) (err error, ok bool) {
	words := strings.Fields(line)
	switch {
	case words[0] == "make":
		c := exec.Command("make", "-n", "-C", w.root, words[1])
		if out, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out), true
		}
		return nil, true
	case words[0] == "go":
		for i, word := range words {
			if word == "." || strings.HasPrefix(word, "./") && !strings.Contains(word, "...") {
				if words[i-1] == "-o" {
					continue
				}
				if _, err := os.Stat(word); err != nil {
					return err, true
				}
			}
			if word == "-run" && i+1 < len(words) && strings.HasPrefix(words[i+1], "Test") {
				dir := words[len(words)-1]
				if !testsIn(w.t, dir)[words[i+1]] {
					return fmt.Errorf("%s has no test %s", dir, words[i+1]), true
				}
			}
		}
		return nil, true
	}
	return nil, false
}

// TestEveryCommandIsDocumented also holds the table of exit codes against the binary's own.
func TestEveryCommandIsDocumented(t *testing.T) {
	w := &workplace{t: t, dir: t.TempDir(), vars: os.Environ()}
	if out, err := exec.Command("go", "build", "-o", filepath.Join(w.dir, "ak"), "./cmd/ak").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	page := read(t, "docs/cli.md")
	w.commandsOf(page, "")
	codes, err := w.run("./ak help exit-codes")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^ +(\d+)  (.+)$`)
	found := line.FindAllStringSubmatch(codes, -1)
	for _, m := range found {
		if !strings.Contains(page, fmt.Sprintf("| %s | %s |", m[1], m[2])) {
			t.Errorf("docs/cli.md does not have the exit code %s: %s", m[1], m[2])
		}
	}
	if len(found) != 10 {
		t.Errorf("%d exit codes were looked for", len(found))
	}
}

// commandsOf checks that the page has every command below path, and its flags.
func (w *workplace) commandsOf(page, path string) {
	help, err := w.run("./ak " + path + " --help")
	if err != nil {
		w.t.Fatalf("ak %s --help: %v", path, err)
	}
	own, _, _ := strings.Cut(help, "Global Flags:")
	for _, m := range regexp.MustCompile(`(?m)^ +(?:-\w, )?(--[a-z]+)`).FindAllStringSubmatch(own, -1) {
		if m[1] != "--help" && !strings.Contains(page, "`"+m[1]) && !strings.Contains(page, " "+m[1]) {
			w.t.Errorf("docs/cli.md does not have the flag %s of ak %s", m[1], path)
		}
	}
	_, list, ok := strings.Cut(help, "Available Commands:\n")
	if !ok {
		if !strings.Contains(page, "`ak "+strings.TrimSpace(path)) {
			w.t.Errorf("docs/cli.md does not have ak %s", path)
		}
		return
	}
	list, _, _ = strings.Cut(list, "\n\n")
	for _, line := range strings.Split(list, "\n") {
		if name := strings.Fields(line)[0]; name != "help" {
			w.commandsOf(page, strings.TrimSpace(path+" "+name))
		}
	}
}
