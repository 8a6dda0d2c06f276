package agentkernel

import (
	"time"

	"github.com/agentkernel/agentkernel/session"
)

// Health is what this replica can truthfully say about itself.
type Health struct {
	Status        string    `json:"status"` // healthy, degraded (it serves, but something it needs does not) or unhealthy (it cannot serve)
	Timestamp     time.Time `json:"timestamp"`
	Runtime       string    `json:"runtime"`        // operational, draining or failed
	MemoryBackend string    `json:"memory_backend"` // connected or disconnected

	Replica  string             `json:"-"`
	Running  int                `json:"-"`
	Store    session.Durability `json:"-"`
	StoreErr string             `json:"-"`
	Leased   bool               `json:"-"`

	Rollbacks  int64 `json:"-"` // sessions of which the store lost records that this replica had seen
	Reappended int64 `json:"-"` // records that it wrote again after that
}

// Health tells how this replica is. It asks nobody: the store's state is what the last operations said, and there are
// several in each lease. A store that is down makes it degraded, not unhealthy: another replica would have the same
// store.
func (k *Kernel) Health() Health {
	_, leased := k.leased()
	h := Health{
		Status: "healthy", Timestamp: time.Now().UTC(), Runtime: "operational", MemoryBackend: "connected",
		Replica: k.id, Running: int(k.running.Load()), Store: k.store.Durability(), Leased: leased,
		Rollbacks: k.rollbacks.Load(), Reappended: k.reappended.Load(),
	}
	if trouble := k.store.trouble(); trouble != nil {
		h.Status, h.MemoryBackend, h.StoreErr = "degraded", "disconnected", trouble.Error()
	}
	switch k.phase.Load() {
	case operational:
	case closed:
		if why := k.retired.Load(); why != nil {
			h.StoreErr = (*why).Error()
		}
		h.Status, h.Runtime = "unhealthy", "failed"
	default:
		h.Status, h.Runtime = "unhealthy", "draining"
	}
	return h
}

// Replicas lists the replicas of the store as this one sees them, itself first.
func (k *Kernel) Replicas() []ReplicaInfo {
	list := []ReplicaInfo{k.info()}
	k.peers.mu.Lock()
	defer k.peers.mu.Unlock()
	for _, s := range k.peers.seen {
		if k.peers.silent(s, k.cfg.boot(), k.cfg.LeaseTTL) < k.ttlOf(s) {
			list = append(list, s.info.ReplicaInfo)
		}
	}
	return list
}

// AgentInfo is an agent as it is shown.
type AgentInfo struct {
	Name        string   `json:"name"`
	Description string   `json:"description,omitempty"`
	Model       string   `json:"model,omitempty"`
	Tools       []string `json:"tools,omitempty"`

	OnDisconnect  OnDisconnect  `json:"on_disconnect,omitempty"`
	OnStoreOutage OnStoreOutage `json:"on_store_outage,omitempty"`
}

// Agents lists the agents in the order of the configuration.
func (k *Kernel) Agents() []AgentInfo {
	list := make([]AgentInfo, 0, len(k.cfg.Agents))
	for _, a := range k.cfg.Agents {
		i := AgentInfo{Name: a.Name, Description: a.Description, Model: a.Model, OnDisconnect: a.OnDisconnect, OnStoreOutage: a.OnStoreOutage}
		for _, t := range a.Tools {
			i.Tools = append(i.Tools, t.Name)
		}
		list = append(list, i)
	}
	return list
}
