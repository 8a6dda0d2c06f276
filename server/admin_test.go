package server

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

func TestTheAdminListenerShowsTheProcess(t *testing.T) {
	x := newSite(t)
	server := httptest.NewServer(Admin(x.k))
	defer server.Close()
	x.url = server.URL
	v := as[process](t, x.do("GET", "/debug/vars", ""), 200)
	if v.Kernel.Replica != x.k.ID() || v.Kernel.Status != "healthy" || v.Goroutines < 2 || v.Uptime <= 0 || v.Runtime["/gc/heap/live:bytes"] == nil {
		t.Errorf("%+v", v)
	}
	list := string(x.do("GET", "/debug/pprof/", "").body)
	for _, name := range []string{"heap", "goroutine", "mutex", "profile?seconds=30"} {
		if !strings.Contains(list, name+"\n") {
			t.Errorf("%s is not in %s", name, list)
		}
	}
	if r := x.do("GET", "/debug/pprof/goroutine?debug=1", ""); r.StatusCode != 200 || !strings.Contains(string(r.body), "TestTheAdminListenerShowsTheProcess") {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
	for _, path := range []string{"/debug/pprof/heap", "/debug/pprof/profile?seconds=0.05", "/debug/pprof/trace?seconds=0.01"} {
		if r := x.do("GET", path, ""); r.StatusCode != 200 || len(r.body) < 100 || r.Header.Get("Content-Type") != "application/octet-stream" {
			t.Errorf("%s: %d, %d bytes", path, r.StatusCode, len(r.body))
		}
	}
	for path, status := range map[string]int{
		"/debug/pprof/cmdline": 404, "/debug/pprof/none": 404, "/debug/pprof/heap?debug=x": 404, "/": 404, "/api/v1/agents": 404,
		"/debug/pprof/profile?seconds=0": 400, "/debug/pprof/profile?seconds=1e9": 400, "/debug/pprof/trace?seconds=NaN": 400,
	} {
		if r := x.do("GET", path, ""); r.StatusCode != status {
			t.Errorf("%s: %d", path, r.StatusCode)
		}
	}
	if r := x.do("POST", "/debug/vars", ""); r.StatusCode != 405 {
		t.Errorf("%d", r.StatusCode)
	}
}

func TestTheAdminHandlerIsForThisMachineOnly(t *testing.T) {
	x := newSite(t)
	server := httptest.NewServer(Admin(x.k))
	defer server.Close()
	for host, status := range map[string]int{"": 200, "localhost": 200, "LOCALHOST:1": 200, "[::1]:80": 200, "::1": 200, "127.9.9.9": 200, "attacker.example": 403, "localhost.attacker.example": 403, "10.0.0.1:80": 403} {
		req, err := http.NewRequest("GET", server.URL+"/debug/pprof/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != status {
			t.Errorf("%q: %d", host, res.StatusCode)
		}
	}
	for name, local := range map[string]any{"another address": &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 80}, "none": nil, "all": &net.TCPAddr{IP: net.IPv4zero}} {
		r := httptest.NewRequest("GET", "http://localhost/debug/vars", nil)
		if local != nil {
			r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, local))
		}
		w := httptest.NewRecorder()
		Admin(x.k).ServeHTTP(w, r)
		if w.Code != 403 || strings.Contains(w.Body.String(), "replica") {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

func TestAnAdminListenerThatOthersReachIsRefused(t *testing.T) {
	for address, ok := range map[string]bool{"127.0.0.1:0": true, "localhost:0": true, "0.0.0.0:0": false, ":0": false} {
		ln, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if err := CheckLoopback(ln); (err == nil) != ok {
			t.Errorf("%s: %v", address, err)
		}
		ln.Close()
	}
	ln, err := net.Listen("unix", t.TempDir()+"/s")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if err := CheckLoopback(ln); err != nil {
		t.Error(err)
	}
}

// TestNothingIsLeftInTheDefaultMux: a program that embeds this package and serves http.DefaultServeMux shows no profiles
// by that.
func TestNothingIsLeftInTheDefaultMux(t *testing.T) {
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap"} {
		w := httptest.NewRecorder()
		http.DefaultServeMux.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != 404 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

func TestTheCommandLineIsNotShown(t *testing.T) {
	x := newSite(t)
	server := httptest.NewServer(Admin(x.k))
	defer server.Close()
	x.url = server.URL
	res, err := http.Get(server.URL + "/debug/vars")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || strings.Contains(string(b), os.Args[0]) {
		t.Errorf("%v %s", err, b)
	}
}
