package server

import (
	"encoding/json"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"time"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/fault"
)

// Admin is the handler of the admin listener: what a developer needs to look into a running process, and nobody else
// may see. It has no authentication, so it answers only over loopback, and only when it is asked for by a loopback name,
// so that no page of another site can have a browser ask.
//
//	/debug/pprof/  profiles, as go tool pprof reads them
//	/debug/vars    the kernel's health and the runtime's figures, as JSON
//
// The command line is not shown: it may hold secrets.
func Admin(k *agentkernel.Kernel) http.Handler {
	mux := http.NewServeMux()
	routeProfiles(mux)
	began := time.Now()
	mux.HandleFunc("GET /debug/vars", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		_ = e.Encode(vars(k, began)) // if the client is gone there is nobody to tell
	})
	crossSite := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		if !loopback(local) || !loopbackName(r.Host) || crossSite.Check(r) != nil {
			http.Error(w, "the admin listener is for this machine only", http.StatusForbidden)
			return
		}
		w.Header().Set("X-Content-Type-Options", "nosniff")
		mux.ServeHTTP(w, r)
	})
}

// CheckLoopback refuses a listener that other machines can reach: the admin handler must not be served there.
func CheckLoopback(ln net.Listener) error {
	if loopback(ln.Addr()) {
		return nil
	}
	return fault.New(fault.Config, "", "the admin listener is at %s, which is not loopback", ln.Addr()).
		WithTry("let it listen at 127.0.0.1, and reach it through ssh or kubectl port-forward")
}

// loopback reports whether an address can be reached from its own machine only.
func loopback(a net.Addr) bool {
	switch a := a.(type) {
	case *net.TCPAddr:
		return a.IP.IsLoopback()
	case *net.UnixAddr:
		return true
	}
	return false
}

// loopbackName reports whether a Host header names this machine by a name that nobody else can give it.
func loopbackName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	return strings.EqualFold(host, "localhost") || net.ParseIP(host).IsLoopback()
}

// process is what /debug/vars says.
type process struct {
	Kernel     kernelVars     `json:"kernel"`
	Uptime     float64        `json:"uptime_seconds"`
	Goroutines int            `json:"goroutines"`
	CPUs       int            `json:"cpus"`
	Go         string         `json:"go"`
	Build      string         `json:"build,omitempty"` // the version of the main module
	Revision   string         `json:"revision,omitempty"`
	Runtime    map[string]any `json:"runtime"` // by the names of package runtime/metrics
}

type kernelVars struct {
	Replica  string `json:"replica"`
	Status   string `json:"status"`
	Runtime  string `json:"runtime"`
	Store    string `json:"memory_backend"`
	StoreErr string `json:"store_error,omitempty"`
	Running  int    `json:"running_turns"`
	Leased   bool   `json:"lease_ok"`
}

func vars(k *agentkernel.Kernel, began time.Time) process {
	h := k.Health()
	p := process{
		Kernel: kernelVars{Replica: h.Replica, Status: h.Status, Runtime: h.Runtime, Store: h.MemoryBackend, StoreErr: h.StoreErr, Running: h.Running, Leased: h.Leased},
		Uptime: time.Since(began).Seconds(), Goroutines: runtime.NumGoroutine(), CPUs: runtime.GOMAXPROCS(0), Go: runtime.Version(), Runtime: map[string]any{},
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		p.Build = info.Main.Version
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				p.Revision = s.Value
			}
		}
	}
	var samples []metrics.Sample
	for _, d := range metrics.All() {
		samples = append(samples, metrics.Sample{Name: d.Name})
	}
	metrics.Read(samples)
	for _, s := range samples {
		switch s.Value.Kind() { // histograms are left out: profiles say it better
		case metrics.KindUint64:
			p.Runtime[s.Name] = s.Value.Uint64()
		case metrics.KindFloat64:
			p.Runtime[s.Name] = s.Value.Float64()
		}
	}
	return p
}
