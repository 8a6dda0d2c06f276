package server

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/agentkernel/agentkernel/session"
)

// wire gives a handler the request and the response beneath huma. Inputs embed it.
type wire struct {
	r *http.Request
	w http.ResponseWriter
}

// Resolve is called by huma when the input is filled.
func (x *wire) Resolve(ctx huma.Context) []error {
	x.r, x.w = humago.Unwrap(ctx)
	return nil
}

// about notes in log, problems and response headers which session and turn a request is about. Only ids that the kernel
// accepted come here.
func (x *wire) about(sessionID, turnID string) {
	t := traceOf(x.r.Context())
	if sessionID != "" {
		t.session = sessionID
		x.w.Header().Set("AK-Session-Id", sessionID)
	}
	if turnID != "" {
		t.turn = turnID
		x.w.Header().Set("AK-Turn-Id", turnID)
	}
}

// aboutTurn is about for a turn that a path names, if it can be the name of one.
func (x *wire) aboutTurn(id string) {
	if t, err := session.ParseTurnID(id); err == nil {
		x.about(t.Session, id)
	}
}

// aboutSession is about for a session that a path names, if it can be the name of one.
func (x *wire) aboutSession(id string) {
	if session.CheckID("session_id", id) == nil {
		x.about(id, "")
	}
}

// preferences are the parts of a Prefer header (RFC 7240) that this server knows. What it does not know it ignores.
type preferences struct {
	async  bool
	cancel bool           // on disconnect
	goOn   bool           // on disconnect, whatever the agent is set up to
	wait   *time.Duration // nil when the client did not say
}

func parsePrefer(headers []string) (p preferences) {
	for _, part := range strings.Split(strings.Join(headers, ","), ",") {
		token, _, _ := strings.Cut(part, ";")
		name, value, _ := strings.Cut(strings.TrimSpace(token), "=")
		value = strings.Trim(strings.TrimSpace(value), `"`)
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "respond-async":
			p.async = true
		case "cancel-on-disconnect":
			p.cancel = !p.goOn // of preferences that contradict each other the first one counts
		case "continue-on-disconnect":
			p.goOn = !p.cancel
		case "wait":
			if n, err := strconv.ParseUint(value, 10, 31); err == nil && p.wait == nil {
				d := time.Duration(n) * time.Second
				p.wait = &d
			}
		}
	}
	return p
}

// wantsStream reports whether an Accept header asks for server-sent events rather than JSON: it names them, and does
// not like JSON better.
func wantsStream(headers []string) bool {
	stream, json, first := 0.0, 0.0, ""
	for _, part := range strings.Split(strings.Join(headers, ","), ",") {
		media, params, err := mime.ParseMediaType(part)
		if err != nil || media != "text/event-stream" && media != "application/json" {
			continue
		}
		q := 1.0
		if v, ok := params["q"]; ok {
			if q, err = strconv.ParseFloat(v, 64); err != nil {
				continue
			}
		}
		if first == "" {
			first = media
		}
		if media == "application/json" {
			json = q
		} else {
			stream = q
		}
	}
	return stream > 0 && (stream > json || stream == json && first == "text/event-stream")
}
