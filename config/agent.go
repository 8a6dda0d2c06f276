package config

import (
	"encoding/json"
	"time"
)

// Policies for a session that is busy, for [Agent].Busy.
const (
	Queue  = "queue"
	Reject = "reject"
	Steer  = "steer"
)

// What becomes of a turn whose client went away, for [Agent].OnDisconnect.
const (
	ContinueTurn = "continue"
	CancelTurn   = "cancel"
)

// What becomes of a message while the store takes no writes, for [Agent].OnStoreOutage.
const (
	RefuseOutage    = "refuse"
	StatelessOutage = "stateless"
)

// What becomes of the oldest part of a long conversation, for [History].Compact.
const (
	Summarize = "summarize"
	DropOld   = "drop"
)

// Agent is one agent.
type Agent struct {
	Name          string          `yaml:"name" required:"true" pattern:"^[A-Za-z0-9_-]{1,64}$" doc:"The name callers use."`
	Description   string          `yaml:"description" optional:"true" doc:"What it is for, for people and other agents."`
	Instructions  string          `yaml:"instructions" optional:"true" doc:"What the model is told before the conversation."`
	Model         string          `yaml:"model" required:"true" pattern:"^[^/\\s]+/\\S+$" doc:"Provider id and model, as in openai/gpt-5-mini."`
	Tools         []string        `yaml:"tools" doc:"Names of the tools it may call."`
	Busy          string          `yaml:"busy" default:"queue" enum:"queue,reject,steer" doc:"What happens to a message for a session whose turn is running: it waits, it is refused, or the running turn is told."`
	MaxQueue      int             `yaml:"max_queue" default:"64" min:"1" max:"10000" doc:"Unfinished turns in one session, the running one among them."`
	Limits        Limits          `yaml:"limits" doc:"Bounds of one turn."`
	Handoffs      []string        `yaml:"handoffs" doc:"Agents that it may hand the conversation over to."`
	Subagents     []string        `yaml:"subagents" doc:"Agents that it may ask, as it calls tools."`
	OutputSchema  json.RawMessage `yaml:"output_schema" optional:"true" doc:"JSON Schema (2020-12), of type object, that its replies must fit; without it they are free text."`
	OnDisconnect  string          `yaml:"on_disconnect" default:"continue" enum:"continue,cancel" doc:"What becomes of a turn when the client that waits for it goes away."`
	OnStoreOutage string          `yaml:"on_store_outage" default:"refuse" enum:"refuse,stateless" doc:"What becomes of a message while the store takes no writes: it is refused, or answered without history and without being kept, and the answer says so."`
	History       History         `yaml:"history" doc:"How much of the conversation the model is shown."`
	Hooks         Hooks           `yaml:"hooks" doc:"Services that are asked before and after each turn."`
}

// Limits bounds one turn.
type Limits struct {
	Steps     int           `yaml:"steps" default:"24" min:"1" max:"10000" doc:"Model calls per turn."`
	Wall      time.Duration `yaml:"wall" default:"10m" min:"1ms" max:"87600h" doc:"Running time; waiting does not count."`
	Attempts  int           `yaml:"attempts" default:"0" min:"0" max:"1000000" doc:"Attempts of model calls per turn, failed ones among them; 0 means 3 times steps."`
	Tokens    int64         `yaml:"tokens" default:"0" min:"0" max:"1000000000000" doc:"Tokens read and written per turn; 0 sets no bound."`
	Money     float64       `yaml:"money" default:"0" min:"0" max:"1000000" doc:"Dollars per turn, by the prices under models; 0 sets no bound."`
	Repeats   int           `yaml:"repeats" default:"3" min:"2" max:"10000" doc:"Equal rounds of tool calls in a row that count as a loop."`
	MaxTokens int64         `yaml:"max_tokens" default:"0" min:"0" max:"1000000000000" doc:"Bound on each answer of the model, in tokens; 0 leaves it to the provider."`
}

// History bounds how much of a conversation the model is shown.
type History struct {
	Turns   int    `yaml:"turns" default:"200" min:"1" max:"1000000" doc:"Ended turns that are shown."`
	Tokens  int    `yaml:"tokens" default:"0" min:"0" max:"1000000000" doc:"Estimated tokens that are shown; 0 means three quarters of the model's window."`
	Compact string `yaml:"compact" default:"summarize" enum:"summarize,drop" doc:"What becomes of the oldest part when a bound is met: the model sums it up, or it is left out."`
}

// Hooks are services that are asked before and after each turn, in the order of the lists.
type Hooks struct {
	Before []Hook `yaml:"before" doc:"Asked before the agent: each may answer in its place, add to its instructions, or refuse."`
	After  []Hook `yaml:"after" doc:"Asked after the agent: each may replace the reply, or refuse it."`
}

// Hook is one service that is asked about a turn. When it fails, so does the turn.
type Hook struct {
	Name    string        `yaml:"name" required:"true" pattern:"^[A-Za-z0-9_-]{1,64}$" doc:"A name that no other hook of the agent has."`
	HTTP    HTTP          `yaml:"http" required:"true" doc:"Where to ask, with POST and without placeholders."`
	Timeout time.Duration `yaml:"timeout" default:"5s" min:"1ms" max:"1h" doc:"Time for one answer."`
}
