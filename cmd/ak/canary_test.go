package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/agentkernel/agentkernel/config"
)

// canaries are texts that stand for secrets, one for each place where the configuration, the environment or a request
// has one, and everything that was seen of a run. None of the texts may be in any of it.
type canaries struct {
	t     *testing.T
	mu    sync.Mutex
	texts map[string]string // by place
	seen  []sight
}

// sight is something that came out: a response, a log, a file.
type sight struct{ where, what string }

var place = regexp.MustCompile(`%\{([^{}]*)\}`)

// in puts canaries in place of %{place}.
func (c *canaries) in(text string) string {
	return place.ReplaceAllStringFunc(text, func(match string) string {
		name := match[2 : len(match)-1]
		sum := sha256.Sum256([]byte(name))
		made := fmt.Sprintf("cnry%xyrnc", sum[:8])
		c.mu.Lock()
		defer c.mu.Unlock()
		c.texts[name] = made
		return made
	})
}

func (c *canaries) see(where, what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = append(c.seen, sight{where, what})
}

// forms are the texts in which a secret may come out: itself, as a header carries it for user u, as a part of a token.
func forms(text string) []string {
	return []string{
		text, base64.StdEncoding.EncodeToString([]byte("u:" + text)), base64.RawURLEncoding.EncodeToString([]byte(`{"jti":"` + text + `"}`)),
		text[:len(text)/2], // half of one helps to guess the rest
	}
}

// check looks for every canary in everything that was seen.
func (c *canaries) check() {
	c.t.Helper()
	for name, text := range c.texts {
		for _, form := range forms(text) {
			told := 0
			for _, s := range c.seen {
				if i := strings.Index(s.what, form); i >= 0 && told < 3 {
					told++
					c.t.Errorf("the secret of %s is in %s: …%q…", name, s.where, s.what[max(0, i-160):min(len(s.what), i+len(form)+40)])
				}
			}
		}
	}
}

// secretKeys are the keys of the configuration whose values are secret, or may hold one.
func secretKeys(t reflect.Type, at string) (keys []string) {
	switch {
	case t == reflect.TypeFor[config.Secret](), t == reflect.TypeFor[config.URL]():
		return []string{at}
	case t.Kind() == reflect.Pointer:
		return secretKeys(t.Elem(), at)
	case t.Kind() == reflect.Map, t.Kind() == reflect.Slice:
		return secretKeys(t.Elem(), at)
	case t.Kind() != reflect.Struct:
		return nil
	}
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() {
			continue
		}
		key := strings.TrimPrefix(at+"."+f.Tag.Get("yaml"), ".")
		if f.Tag.Get("hidden") == "true" {
			keys = append(keys, key)
		}
		keys = append(keys, secretKeys(f.Type, key)...)
	}
	return keys
}

// everyKeyHasOne fails for a secret key of the configuration, or a variable with one, that has no canary.
func (c *canaries) everyKeyHasOne() {
	c.t.Helper()
	keys := secretKeys(reflect.TypeFor[config.Config](), "")
	if len(keys) < 12 {
		c.t.Errorf("only %d secret keys were found: %q", len(keys), keys)
	}
	for _, v := range otherVariables {
		if regexp.MustCompile(`KEY$|TOKEN|BASE_URL`).MatchString(v.Name) {
			keys = append(keys, v.Name)
		}
	}
	for _, key := range keys {
		has := slices.ContainsFunc(sortedKeys(c.texts), func(name string) bool { at, _, _ := strings.Cut(name, "#"); return at == key })
		if !has && key != "auth.jwt.jwks_url" { // which TestATokenIsNowhere has
			c.t.Errorf("%s may hold a secret, and this test puts none there", key)
		}
	}
}

func sortedKeys(m map[string]string) (all []string) {
	for name := range m {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// canaryServer is ak serve whose every word is kept.
type canaryServer struct {
	*canaries
	*process
	key   string
	env   []string
	admin string
}

// ask sends a request and keeps the whole answer.
func (s *canaryServer) ask(method, address, body string, header ...string) string {
	s.canaries.t.Helper()
	if strings.HasPrefix(address, "/") {
		address = s.url + address
	}
	req, err := http.NewRequest(method, address, strings.NewReader(body))
	if err != nil {
		s.canaries.t.Fatal(err)
	}
	if s.key != "" {
		req.Header.Set("Authorization", "Bearer "+s.key)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	hc := http.Client{Timeout: patient, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := hc.Do(req)
	if err != nil {
		s.canaries.t.Errorf("%s %s: %v", method, req.URL.Path, err)
		return ""
	}
	defer func() { _ = res.Body.Close() }()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		s.canaries.t.Errorf("%s %s: %v", method, req.URL.Path, err)
	}
	var head bytes.Buffer
	_ = res.Header.Write(&head)
	s.see(fmt.Sprintf("the answer to %s %s %s", method, req.URL.Path, body), fmt.Sprint(res.StatusCode, "\n", head.String(), string(got)))
	return string(got)
}

// run runs a command and keeps what it writes.
func (c *canaries) run(dir string, env []string, args ...string) string {
	cmd := exec.Command(akBinary, args...)
	cmd.Dir, cmd.Env = dir, append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}, env...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		c.t.Fatal(err)
	}
	c.see("what ak "+strings.Join(args, " ")+" writes", string(out))
	return string(out)
}

// files keeps everything that is in a store's files.
func (c *canaries) files(dir string) (all string) {
	c.t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "store.db*"))
	if err != nil || len(names) == 0 {
		c.t.Fatalf("there is no store: %v", err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			c.t.Fatal(err)
		}
		c.see("the file "+filepath.Base(name), string(data))
		all += string(data)
	}
	return all
}

// TestASecretIsNowhere puts a text of its own in every place where a secret may be, and does everything that a server
// does, over providers, tools, hooks and MCP servers that repeat whatever they were sent. It then looks for the texts in
// the log, the journal, the metrics, every answer, every stream, and what the commands write.
func TestASecretIsNowhere(t *testing.T) {
	c := &canaries{t: t, texts: map[string]string{}}
	parrot := newParrot(t, c)
	s := parrot.serve(t)
	s.everyKeyHasOne()
	parrot.chats(s)
	s.look()
	s.badRequests()
	s.commands()
	s.reloads()
	s.signal(syscall.SIGTERM)
	if code := s.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	s.see("the log", s.said())
	stored := s.files(s.cmd.Dir)
	c.check()

	for _, want := range []string{"use act echo200", "the tool answered 400", "**** User-Agent"} { // else the search proves nothing
		if !strings.Contains(stored, want) {
			t.Errorf("the journal does not have %q", want)
		}
	}
	if said := s.said(); !strings.Contains(said, `"level":"DEBUG"`) || !strings.Contains(said, `my token is ***`) {
		t.Error("the log has no debug entries, or nothing of the program")
	}
	parrot.sentAll()
}

// look reads everything that can be read.
func (s *canaryServer) look() {
	for _, path := range []string{"/health", "/health?verbose", "/livez", "/readyz", "/metrics", "/openapi.json", "/api/v1/agents", "/api/v1/replicas", "/api/v1/turns?limit=500", "/nowhere"} {
		s.ask(http.MethodGet, path, "")
	}
	for _, path := range []string{"/debug/vars", "/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/goroutine?debug=2", "/debug/pprof/heap?debug=1", "/debug/pprof/symbol"} {
		s.ask(http.MethodGet, s.admin+path, "")
	}
	var list struct {
		Sessions []struct {
			ID string `json:"session_id"`
		} `json:"sessions"`
	}
	if err := json.Unmarshal([]byte(s.ask(http.MethodGet, "/api/v1/sessions?limit=500", "")), &list); err != nil || len(list.Sessions) < 20 {
		s.canaries.t.Errorf("%d sessions, %v", len(list.Sessions), err)
	}
	for _, each := range list.Sessions {
		at := "/api/v1/sessions/" + url.PathEscape(each.ID)
		s.ask(http.MethodGet, at, "")
		s.ask(http.MethodGet, at+"/messages", "")
		s.ask(http.MethodGet, at+"/journal", "")
	}
}

// badRequests are requests with a secret where none belongs.
func (s *canaryServer) badRequests() {
	for i, body := range []string{
		`{"prompt": "x", "api_key": "%{request#field}"}`, `{"prompt": ["%{request#type}"]}`, `{"prompt": "x", "agent": 7, "key": "%{request#7}"`,
		`%{request#text}`, `{"prompt": "x", "session_id": "a b %{request#session}"}`, `{"prompt": "x", "%{request#name}": 1}`,
	} {
		s.ask(http.MethodPost, "/api/v1/chat?api_key="+s.in("%{request#query}"), s.in(body))
		s.ask(http.MethodPost, "/api/v1/chat-multipart", s.in(body), "Content-Type", "multipart/form-data; boundary="+s.in("%{request#boundary}"), "Idempotency-Key", fmt.Sprint("k", i))
	}
	for _, path := range []string{"/api/v1/turns?cursor=%{request#cursor}", "/api/v1/sessions?token=%{request#token}", "/x?sig=%{request#sig}"} {
		s.ask(http.MethodGet, s.in(path), "")
		s.ask(http.MethodGet, s.admin+s.in(path), "")
	}
	for _, header := range [][]string{
		{"Authorization", "Bearer ak_%{request#bearer}"},
		{"Authorization", "Basic %{request#basic}"},
		{"Authorization", "%{request#bare}"},
		{"X-API-Key", "%{request#xkey}"},
		{"Authorization", "Bearer eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ." + "%{request#jwt}.%{request#sig}"},
		{"Cookie", "session=%{request#cookie}"},
		{"Accept", "%{request#accept}"},
		{"Last-Event-ID", "%{request#event}"},
	} {
		for _, path := range []string{"/api/v1/agents", "/api/v1/sessions/none/events", "/health?verbose"} {
			s.ask(http.MethodGet, path, "", header[0], s.in(header[1]))
		}
		s.ask(http.MethodPost, "/api/v1/chat", `{"prompt": "hello"}`, header[0], s.in(header[1]))
	}
}
