package server

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/agentkernel/agentkernel/auth"
)

// Config is how a kernel is served. The zero value works; a zero field has the default that its comment names.
type Config struct {
	Version string // shown in the OpenAPI description, "dev"

	AcceptTimeout   time.Duration // how long a request waits for the store to take what it writes, 10s
	SyncTimeout     time.Duration // how long a synchronous request waits before it is answered 202, 120s
	PingInterval    time.Duration // between comments on a stream on which nothing happens, 15s
	WriteTimeout    time.Duration // for one piece of an answer, after it the reader is dropped, 30s
	HeaderTimeout   time.Duration // for reading a request's headers, 10s
	BodyTimeout     time.Duration // for reading a request's body, of one with files each MaxBody bytes, 30s
	IdleTimeout     time.Duration // of a connection between requests, 2m
	ShutdownTimeout time.Duration // how long Serve lets open requests finish once it is told to end, 10s

	MaxBody    int64 // bytes of a request's body beside its files, 1 MiB
	MaxHeader  int   // bytes of a request's line and headers, 32 KiB
	MaxStreams int   // open streams at a time, 1000

	Auth auth.Authenticator // finds out who calls; nil: everyone who reaches the address may do everything

	MaxFiles    int   // files of a chat request, 8; negative takes none
	MaxFileSize int64 // bytes of each of them, 10 MiB

	Metrics  http.Handler // answers /metrics; nil leaves the route out
	Observer Observer     // is told of every request; nil tells nobody
	Logger   *slog.Logger // nil discards
}

// Observer is told what is served, for metrics. Its methods are called from many goroutines and must be quick.
type Observer interface {
	// HTTPServed: a request was answered. The route is a pattern, never a path, and "other" when there is none.
	HTTPServed(route, method string, status int, took time.Duration)
	// HTTPStreaming: so many streams more, or fewer, are open.
	HTTPStreaming(change int)
}

type silent struct{}

func (silent) HTTPServed(string, string, int, time.Duration) {}
func (silent) HTTPStreaming(int)                             {}

func (c Config) complete() Config {
	if c.Version == "" {
		c.Version = "dev"
	}
	orDefault(&c.AcceptTimeout, 10*time.Second)
	orDefault(&c.SyncTimeout, 2*time.Minute)
	orDefault(&c.PingInterval, 15*time.Second)
	orDefault(&c.WriteTimeout, 30*time.Second)
	orDefault(&c.HeaderTimeout, 10*time.Second)
	orDefault(&c.BodyTimeout, 30*time.Second)
	orDefault(&c.IdleTimeout, 2*time.Minute)
	orDefault(&c.ShutdownTimeout, 10*time.Second)
	orDefault(&c.MaxBody, 1<<20)
	orDefault(&c.MaxHeader, 32<<10)
	orDefault(&c.MaxStreams, 1000)
	if c.MaxFiles < 0 {
		c.MaxFiles = 0
	} else {
		orDefault(&c.MaxFiles, 8)
	}
	orDefault(&c.MaxFileSize, 10<<20)
	if c.Observer == nil {
		c.Observer = silent{}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func orDefault[T int | int64 | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}
