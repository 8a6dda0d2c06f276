package server

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// HealthReply is what the replica says about itself: four fields, and more only for those who ask for it.
type HealthReply struct {
	Status        string    `json:"status" enum:"healthy,degraded,unhealthy" doc:"degraded: it serves, but something that it needs does not; unhealthy: it cannot serve"`
	Timestamp     time.Time `json:"timestamp"`
	Runtime       string    `json:"runtime" enum:"operational,draining,failed"`
	MemoryBackend string    `json:"memory_backend" enum:"connected,disconnected"`

	*HealthDetail
}

// HealthDetail is what ?verbose adds.
type HealthDetail struct {
	Replica  string             `json:"replica,omitempty"`
	Running  int                `json:"running_turns" required:"false" doc:"Sessions that this replica owns; each runs one turn"`
	Leased   bool               `json:"lease_ok" required:"false" doc:"Whether the store took this replica's last sign of life in time"`
	Store    session.Durability `json:"store" required:"false" doc:"What the store may lose in which fault"`
	StoreErr string             `json:"store_error,omitempty" doc:"What the store said last, when it does not work"`
}

type healthInput struct {
	wire
	Verbose string `query:"verbose" doc:"Say more; the value may be left out"`
}

type healthOutput struct {
	Status       int
	CacheControl string `header:"Cache-Control"`
	Body         HealthReply
}

// Probe is the answer of the probes for schedulers and load balancers.
type Probe struct {
	OK      bool   `json:"ok"`
	Runtime string `json:"runtime,omitempty" enum:"operational,draining,failed"`
}

type probeOutput struct {
	Status       int
	CacheControl string `header:"Cache-Control"`
	Body         Probe
}

// AgentList is who can be asked.
type AgentList struct {
	Agents  []string                `json:"agents" nullable:"false" doc:"Their names; the first one answers requests that name none"`
	Details []agentkernel.AgentInfo `json:"details" nullable:"false"`
}

// ReplicaList is which replicas serve the store.
type ReplicaList struct {
	Replicas []agentkernel.ReplicaInfo `json:"replicas" nullable:"false" doc:"As the answering replica sees them, itself first, the others in the order of their ids"`
}

func (s *Server) routeHealth() {
	op := func(id, path, tag, summary, description string) huma.Operation {
		return s.operation(tag, id, http.MethodGet, path, summary, description)
	}
	unwell := func(o huma.Operation, body any) huma.Operation {
		o.Responses = s.responses(map[string]*huma.Response{"503": {Description: "Not here, not now", Content: s.media("application/json", body)}})
		return o
	}
	huma.Register(s.api, unwell(op("health", "/health", "health", "How this replica is", "200 when healthy or degraded, 503 when unhealthy. A store that is down makes it degraded: every replica has the same store."), HealthReply{}), s.health)
	huma.Register(s.api, op("livez", "/livez", "health", "Whether the process lives", ""),
		func(context.Context, *struct{}) (*probeOutput, error) {
			return &probeOutput{Status: http.StatusOK, CacheControl: "no-store", Body: Probe{OK: true}}, nil
		})
	huma.Register(s.api, unwell(op("readyz", "/readyz", "health", "Whether to send requests here", "503 from the moment a drain begins."), Probe{}),
		func(context.Context, *struct{}) (*probeOutput, error) {
			h := s.k.Health()
			out := &probeOutput{Status: http.StatusOK, CacheControl: "no-store", Body: Probe{OK: true, Runtime: h.Runtime}}
			if h.Runtime != "operational" {
				out.Status, out.Body.OK = http.StatusServiceUnavailable, false
			}
			return out, nil
		})
	huma.Register(s.api, op("list-agents", "/api/v1/agents", "agents", "List the agents", ""),
		func(context.Context, *wireInput) (*struct{ Body AgentList }, error) {
			list := AgentList{Agents: []string{}, Details: orEmpty(s.k.Agents())}
			for _, a := range list.Details {
				list.Agents = append(list.Agents, a.Name)
			}
			return &struct{ Body AgentList }{list}, nil
		})
	huma.Register(s.api, op("list-replicas", "/api/v1/replicas", "health", "List the replicas", ""),
		func(context.Context, *wireInput) (*struct{ Body ReplicaList }, error) {
			list := orEmpty(s.k.Replicas())
			slices.SortFunc(list[1:], func(a, b agentkernel.ReplicaInfo) int { return strings.Compare(a.ID, b.ID) })
			return &struct{ Body ReplicaList }{ReplicaList{Replicas: list}}, nil
		})
}

// wireInput is the input of routes without parameters.
type wireInput struct{ wire }

func (s *Server) health(ctx context.Context, in *healthInput) (*healthOutput, error) {
	verbose := in.r.URL.Query().Has("verbose")
	if in.Verbose != "" {
		var err error
		if verbose, err = strconv.ParseBool(in.Verbose); err != nil {
			return nil, s.problemOf(ctx, fault.New(fault.BadRequest, "", "verbose is %.40q", in.Verbose).WithTry("say ?verbose or ?verbose=false"))
		}
	}
	h := s.k.Health()
	out := &healthOutput{Status: http.StatusOK, CacheControl: "no-store", Body: HealthReply{
		Status: h.Status, Timestamp: h.Timestamp, Runtime: h.Runtime, MemoryBackend: h.MemoryBackend,
	}}
	if h.Status == "unhealthy" {
		out.Status = http.StatusServiceUnavailable
	}
	if verbose && s.mayLookBehind(ctx, in.r) {
		out.Body.HealthDetail = &HealthDetail{Replica: h.Replica, Running: h.Running, Leased: h.Leased, Store: h.Store, StoreErr: h.StoreErr}
	}
	return out, nil
}
