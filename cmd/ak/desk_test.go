package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
)

// desk charges whenever it is told to, and knows which keys it was told.
type desk struct {
	*httptest.Server
	charges atomic.Int64
	byKey   sync.Map
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /charge", func(w http.ResponseWriter, r *http.Request) {
		receipt := fmt.Sprintf("R-%d", d.charges.Add(1))
		d.byKey.Store(r.Header.Get("Idempotency-Key"), receipt)
		_, _ = fmt.Fprint(w, receipt)
	})
	mux.HandleFunc("GET /charge/{key}", func(w http.ResponseWriter, r *http.Request) {
		receipt, ok := d.byKey.Load(r.PathValue("key"))
		if !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = fmt.Fprint(w, receipt)
	})
	d.Server = httptest.NewServer(mux)
	t.Cleanup(d.Close)
	return d
}
