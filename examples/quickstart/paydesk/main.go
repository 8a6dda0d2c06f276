// Command paydesk is the other side of the quickstart: a payment desk and a weather office in one small HTTP server.
//
// It is deliberately plain. It charges a card each time it is told to, and does not look whether it has seen the
// Idempotency-Key before, as many real services do not. Its ledger is a file that it only ever appends to, so that it
// tells the truth about how often a card was charged.
//
//	POST /charge          {"order": "A-1", "amount": 12.5}: charges
//	GET  /charge/{key}    200 and the receipt if the call with this key was made, else 404
//	GET  /weather?city=X  the weather in X, always the same
//	GET  /ledger          the ledger
//
// With a command after "--" it serves for as long as that command runs, and passes SIGTERM on to it:
//
//	paydesk --ledger ./data/ledger.jsonl -- ak serve
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("paydesk: ")
	address := flag.String("addr", "127.0.0.1:9001", "`address` to listen on")
	ledger := flag.String("ledger", "./data/ledger.jsonl", "`file` that charges are appended to")
	latency := flag.Duration("latency", 0, "time between a charge and its answer")
	flag.Parse()
	code, err := run(*address, *ledger, *latency, flag.Args())
	if err != nil {
		log.Print(err)
		code = 1
	}
	os.Exit(code)
}

func run(address, ledger string, latency time.Duration, command []string) (code int, err error) {
	d, err := open(ledger, latency)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, d.file.Close()) }()
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return 0, fmt.Errorf("%w (is it running already?)", err)
	}
	srv := &http.Server{Handler: d.routes(), ReadHeaderTimeout: 5 * time.Second}
	defer func() { _ = srv.Close() }()
	go func() { _ = srv.Serve(ln) }()
	log.Printf("charge_card and get_weather answer at http://%s, the ledger is %s", ln.Addr(), ledger)
	if len(command) > 0 {
		return supervise(command)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	<-ctx.Done()
	return 0, nil
}

// supervise runs a command to its end. An interrupt at the terminal reaches the command by itself; what else ends
// processes is passed on.
func supervise(command []string) (int, error) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	c := exec.Command(command[0], command[1:]...)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := c.Start(); err != nil {
		return 0, err
	}
	go func() {
		for s := range signals {
			if s != os.Interrupt {
				_ = c.Process.Signal(s)
			}
		}
	}()
	err := c.Wait()
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		return max(1, ended.ExitCode()), nil
	}
	return 0, err
}

// charge is one line of the ledger.
type charge struct {
	Receipt string  `json:"receipt"`
	Key     string  `json:"key"`
	Order   string  `json:"order"`
	Amount  float64 `json:"amount"`
	At      string  `json:"at"`
}

// desk takes charges.
type desk struct {
	latency time.Duration

	mu    sync.Mutex
	file  *os.File
	count int
	byKey map[string]charge
}

// open reads what the ledger holds and goes on with it.
func open(path string, latency time.Duration) (*desk, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	d := &desk{latency: latency, file: f, byKey: map[string]charge{}}
	for in := json.NewDecoder(f); in.More(); {
		var c charge
		if err := in.Decode(&c); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
		}
		d.count++
		d.byKey[c.Key] = c
	}
	return d, nil
}

func (d *desk) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /charge", d.charge)
	mux.HandleFunc("GET /charge/{key}", d.receipt)
	mux.HandleFunc("GET /weather", weather)
	mux.HandleFunc("GET /ledger", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, d.file.Name()) })
	return mux
}

func (d *desk) charge(w http.ResponseWriter, r *http.Request) {
	var c charge
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&c); err != nil || c.Order == "" || c.Amount <= 0 {
		http.Error(w, "a charge has an order and an amount above 0", http.StatusUnprocessableEntity)
		return
	}
	if c.Key = r.Header.Get("Idempotency-Key"); c.Key == "" {
		http.Error(w, "the header Idempotency-Key is missing", http.StatusBadRequest)
		return
	}
	if err := d.book(&c); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	select { // the card is charged from here on, whether or not anybody waits for the answer
	case <-time.After(d.latency):
	case <-r.Context().Done():
	}
	answer(w, receiptOf(c))
}

// book appends a charge to the ledger, for good.
func (d *desk) book(c *charge) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	c.Receipt = fmt.Sprintf("R-%04d", d.count+1)
	c.At = time.Now().UTC().Format(time.RFC3339)
	line, err := json.Marshal(c)
	if err == nil {
		_, err = d.file.Write(append(line, '\n'))
	}
	if err == nil {
		err = d.file.Sync()
	}
	if err != nil {
		return err
	}
	d.count++
	d.byKey[c.Key] = *c
	return nil
}

func (d *desk) receipt(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	c, ok := d.byKey[r.PathValue("key")]
	d.mu.Unlock()
	if !ok {
		http.Error(w, "no charge has this key", http.StatusNotFound)
		return
	}
	answer(w, receiptOf(c))
}

func receiptOf(c charge) map[string]any {
	return map[string]any{"receipt": c.Receipt, "order": c.Order, "amount": c.Amount}
}

// weather makes up the weather of a city from its name.
func weather(w http.ResponseWriter, r *http.Request) {
	city := r.URL.Query().Get("city")
	if city == "" {
		http.Error(w, "which city?", http.StatusBadRequest)
		return
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(city))
	sky := []string{"clear", "light clouds", "overcast", "light rain", "fog", "a fresh wind"}
	answer(w, map[string]any{"city": city, "celsius": 4 + h.Sum32()%25, "sky": sky[h.Sum32()/7%uint32(len(sky))]})
}

func answer(w http.ResponseWriter, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(b)
}
