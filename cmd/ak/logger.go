package main

import (
	"context"
	"io"
	"log/slog"

	"github.com/agentkernel/agentkernel/config"
	"github.com/agentkernel/agentkernel/telemetry"
)

// newLogger is the log in the configured format, with a level that can be changed.
func newLogger(w io.Writer, cfg config.Log) (*slog.Logger, *slog.LevelVar, error) {
	all, err := telemetry.NewLogger(w, "debug", cfg.Format)
	if err != nil {
		return nil, nil, err
	}
	level := &slog.LevelVar{}
	level.Set(logLevel(cfg.Level))
	return slog.New(leveled{all.Handler(), level}), level, nil
}

func logLevel(name string) slog.Level {
	var l slog.Level
	_ = l.UnmarshalText([]byte(name)) // the configuration knows only names that are levels
	return l
}

// leveled is a handler for entries from a level on.
type leveled struct {
	slog.Handler
	level slog.Leveler
}

func (h leveled) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= h.level.Level() && h.Handler.Enabled(ctx, l)
}

func (h leveled) WithAttrs(a []slog.Attr) slog.Handler {
	return leveled{h.Handler.WithAttrs(a), h.level}
}

func (h leveled) WithGroup(name string) slog.Handler {
	return leveled{h.Handler.WithGroup(name), h.level}
}
