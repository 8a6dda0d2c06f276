package server

import (
	"fmt"
	"io"
	"net/http"
	"runtime/pprof"
	recording "runtime/trace"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Profiles are served with runtime/pprof and not with net/http/pprof: importing that puts handlers into
// http.DefaultServeMux, which a program that embeds this package may serve to the world.

const maxProfile = 5 * time.Minute // that a profile or a trace may take

func routeProfiles(mux *http.ServeMux) {
	mux.HandleFunc("GET /debug/pprof/{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		names := []string{"profile?seconds=30", "trace?seconds=1"}
		for _, p := range pprof.Profiles() {
			names = append(names, p.Name(), p.Name()+"?debug=1")
		}
		slices.Sort(names)
		_, _ = io.WriteString(w, strings.Join(names, "\n")+"\n")
	})
	mux.HandleFunc("GET /debug/pprof/profile", timed(30*time.Second, pprof.StartCPUProfile, pprof.StopCPUProfile))
	mux.HandleFunc("GET /debug/pprof/trace", timed(time.Second, recording.Start, recording.Stop))
	mux.HandleFunc("GET /debug/pprof/{name}", func(w http.ResponseWriter, r *http.Request) {
		p := pprof.Lookup(r.PathValue("name"))
		depth, err := strconv.Atoi("0" + r.FormValue("debug"))
		if p == nil || err != nil {
			http.Error(w, "there is no such profile, or debug is not a number; /debug/pprof/ lists the profiles", http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		if depth > 0 {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		}
		_ = p.WriteTo(w, depth) // if the client is gone there is nobody to tell
	})
}

// timed serves what is recorded for a while: ?seconds=, or as long as usual.
func timed(usual time.Duration, start func(io.Writer) error, stop func()) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		d := usual
		if text := r.FormValue("seconds"); text != "" {
			seconds, err := strconv.ParseFloat(text, 64)
			if err != nil || !(seconds > 0 && seconds <= maxProfile.Seconds()) {
				http.Error(w, fmt.Sprintf("seconds must be more than 0, and at most %.0f", maxProfile.Seconds()), http.StatusBadRequest)
				return
			}
			d = time.Duration(seconds * float64(time.Second))
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		if err := start(w); err != nil {
			http.Error(w, "one is being recorded already: "+err.Error(), http.StatusConflict)
			return
		}
		defer stop()
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-r.Context().Done():
		}
	}
}
