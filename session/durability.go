package session

// Loss says what a fault may cost.
type Loss string

const (
	LosesNothing Loss = "nothing"  // every acknowledged write is kept
	LosesRecent  Loss = "recent"   // the newest acknowledged writes may be gone
	LosesAll     Loss = "all"      // everything may be gone
	NotCovered   Loss = "operator" // depends on backups that this store does not make
	CannotHappen Loss = "n/a"      // there is no such fault: a file has no failover
)

// Exposure is what one fault may cost, and how that is known.
type Exposure struct {
	Loses Loss `json:"loses"`
	// Shown is the name of the test that shows it, or who declares it where no test can. Required where nothing is lost.
	Shown string `json:"shown_by,omitempty"`
}

// Durability declares what acknowledged writes a fault may cost, and what an append costs.
type Durability struct {
	Store         string   `json:"store"`          // as in session.type
	Level         string   `json:"level"`          // how the store is set up
	ProcessCrash  Exposure `json:"process_crash"`  // the process that holds the data is killed: the server's, or ours where the store is embedded
	MachineCrash  Exposure `json:"machine_crash"`  // its machine loses power and comes back
	Failover      Exposure `json:"failover"`       // the primary dies, hangs or is cut off, and another one takes over
	DiskLoss      Exposure `json:"disk_loss"`      // its machine does not come back
	ZoneLoss      Exposure `json:"zone_loss"`      // an availability zone does not come back
	OperatorError Exposure `json:"operator_error"` // someone deletes, flushes, or restores an older state
	Note          string   `json:"note,omitempty"`

	AppendWrites    int `json:"append_writes"`     // durable writes (syncs, commands, requests or statements) per append, at most
	AppendReadBacks int `json:"append_read_backs"` // reads per append
}

// KeepsAcknowledged reports whether every acknowledged write outlives the faults that production is sure to see: killed
// processes, machines that restart, and failovers.
func (d Durability) KeepsAcknowledged() bool {
	for _, e := range []Exposure{d.ProcessCrash, d.MachineCrash, d.Failover} {
		if e.Loses != LosesNothing && e.Loses != CannotHappen {
			return false
		}
	}
	return true
}

// FaultExposure is one line of the table of a Durability.
type FaultExposure struct {
	Fault string // as the JSON field
	Exposure
}

// Faults lists what is declared, in the order of the fields.
func (d Durability) Faults() []FaultExposure {
	return []FaultExposure{
		{"process_crash", d.ProcessCrash},
		{"machine_crash", d.MachineCrash},
		{"failover", d.Failover},
		{"disk_loss", d.DiskLoss},
		{"zone_loss", d.ZoneLoss},
		{"operator_error", d.OperatorError},
	}
}
