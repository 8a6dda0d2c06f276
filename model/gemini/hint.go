package gemini

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/agentkernel/agentkernel/model"
)

// delay reads a protobuf Duration, which is how the API says when to come back: a text such as "3.5s", or its fields.
func delay(raw json.RawMessage) time.Duration {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		d, _ := model.HintOf(strings.TrimSuffix(strings.TrimSpace(text), "s"), time.Second)
		return d
	}
	var fields struct {
		Seconds json.Number `json:"seconds"`
		Nanos   int64       `json:"nanos"`
	}
	if json.Unmarshal(raw, &fields) != nil {
		return 0
	}
	d, _ := model.HintOf(fields.Seconds.String(), time.Second)
	return min(d+time.Duration(min(max(fields.Nanos, 0), int64(time.Second))), model.MaxHint)
}
