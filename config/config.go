package config

import (
	"encoding/json"
	"time"
)

// Config is the whole configuration. A value made by [Load] is complete and checked; it must not be changed. A Config
// prints, marshals and logs as its masked form.
type Config struct {
	API       API                 `yaml:"api" doc:"Where the HTTP API listens."`
	Auth      Auth                `yaml:"auth" doc:"Who may call the API."`
	Log       Log                 `yaml:"log" doc:"The log on standard error."`
	Session   Session             `yaml:"session" doc:"Where sessions are stored and for how long."`
	Execution Execution           `yaml:"execution" doc:"How turns are run, taken over and drained."`
	Providers map[string]Provider `yaml:"providers" doc:"Model providers by id; an agent's model is \"id/model\"." keys:"id"`
	Egress    Egress              `yaml:"egress" doc:"Where tools may connect to. Model providers are not affected."`
	Tools     []Tool              `yaml:"tools" doc:"Tools that agents may call."`
	Agents    []Agent             `yaml:"agents" doc:"The agents that are served; the first is the default one."`

	from origins // where each value came from; empty in a Config that was not loaded
}

// API is the address of the HTTP API.
type API struct {
	Host string `yaml:"host" default:"127.0.0.1" doc:"Host name or IP address to listen on. Anything but loopback needs auth.mode in writing."`
	Port int    `yaml:"port" default:"8000" min:"0" max:"65535" doc:"TCP port; 0 takes a free one."`
}

// Auth says how callers prove who they are.
type Auth struct {
	Mode string `yaml:"mode" default:"none" enum:"none" later:"api_key,jwt" doc:"none: everyone who reaches the address may do everything."`
}

// Log is how much is logged and in which form.
type Log struct {
	Level  string `yaml:"level" default:"info" enum:"debug,info,warn,error" doc:"The least important entries that are still written."`
	Format string `yaml:"format" default:"json" enum:"json,text" doc:"json: one object a line; text: key=value."`
}

// Names of session stores, for [Session].Type.
const (
	InMemory = "in_memory"
	SQLite   = "sqlite"
)

// Session is where sessions are stored and for how long.
type Session struct {
	Type       string        `yaml:"type" default:"sqlite" enum:"in_memory,sqlite" later:"redis,dynamodb,postgres" doc:"The store. in_memory forgets everything when the process ends."`
	TTL        time.Duration `yaml:"ttl" default:"604800" unit:"seconds" min:"1s" max:"87600h" doc:"How long an idle session is kept: seconds, or a duration."`
	AcceptLoss bool          `yaml:"accept_loss" default:"false" doc:"Allow at_most_once tools on a store that may lose writes it has acknowledged."`
	Cache      Cache         `yaml:"cache" doc:"Sessions kept in memory by this process."`
	SQLite     SQLiteStore   `yaml:"sqlite" doc:"The store of type sqlite."`
	InMemory   MemoryStore   `yaml:"in_memory" optional:"true" doc:"The store of type in_memory."`
}

// Cache bounds the sessions kept in memory.
type Cache struct {
	Size int `yaml:"size" default:"256" min:"1" max:"10000000" doc:"Number of sessions."`
}

// SQLiteStore configures the store of type sqlite.
type SQLiteStore struct {
	Path string        `yaml:"path" default:"./data/agentkernel.db" required:"true" doc:"The database file, relative to the working directory; it and its folder are made if missing."`
	TTL  time.Duration `yaml:"ttl" unit:"seconds" min:"1s" max:"87600h" doc:"Overrides session.ttl for this store."`
}

// MemoryStore configures the store of type in_memory.
type MemoryStore struct {
	TTL time.Duration `yaml:"ttl" unit:"seconds" min:"1s" max:"87600h" doc:"Overrides session.ttl for this store."`
}

// Execution is how turns are run and taken over.
type Execution struct {
	LeaseTTL        time.Duration `yaml:"lease_ttl" default:"5s" min:"1s" max:"1h" doc:"A replica that shows no sign of life for this long is taken over."`
	SweepInterval   time.Duration `yaml:"sweep_interval" default:"1s" min:"10ms" max:"1h" doc:"How often a replica looks for turns that need attention; at most lease_ttl."`
	MaxRecoveries   int           `yaml:"max_recoveries" default:"3" min:"1" max:"1000" doc:"Recoveries of one turn without progress before it is quarantined."`
	MaxRunningTurns int           `yaml:"max_running_turns" default:"256" min:"1" max:"1000000" doc:"Turns that one process runs at a time."`
	IdempotencyTTL  time.Duration `yaml:"idempotency_ttl" default:"24h" min:"1s" max:"87600h" doc:"How long an Idempotency-Key is remembered; never longer than its session."`
	Drain           Drain         `yaml:"drain" doc:"What happens between SIGTERM and the end of the process."`
}

// Drain is how a process ends.
type Drain struct {
	Delay   time.Duration `yaml:"delay" default:"5s" min:"0s" max:"1h" doc:"Time in which a leaving replica says \"not ready\" but still takes requests for others to run; longer than a load balancer needs to notice."`
	Timeout time.Duration `yaml:"timeout" default:"75s" min:"1ms" max:"24h" doc:"Time for running turns to finish before they are handed over."`
}

// Types of provider, for [Provider].Type.
const (
	OpenAI           = "openai"
	OpenAICompatible = "openai_compatible"
	Scripted         = "scripted"
)

// Provider is one source of models.
type Provider struct {
	Type    string `yaml:"type" enum:"openai,openai_compatible,scripted" optional:"true" doc:"What the provider speaks. The id openai is of type openai; every other id must say."`
	APIKey  Secret `yaml:"api_key" optional:"true" doc:"The key; for type openai the default is the variable OPENAI_API_KEY. Write <file:NAME> or use the environment."`
	BaseURL URL    `yaml:"base_url" optional:"true" doc:"Where the API is; for type openai the default is the variable OPENAI_BASE_URL, else https://api.openai.com/v1."`
	Script  string `yaml:"script" optional:"true" doc:"For type scripted: the JSON or YAML file with the answers; empty means the built-in script."`
}

// Egress is where tools may connect to.
type Egress struct {
	Allow []string `yaml:"allow" doc:"Hosts (api.example.com, api.example.com:8443, *.example.com), addresses and networks (10.0.0.0/8) that tools may reach besides the hosts written in their own URLs. Everything else is refused, redirects included."`
}

// Effect classes, for [Tool].Effect.
const (
	ReadOnly   = "read_only"
	Idempotent = "idempotent"
	AtMostOnce = "at_most_once"
)

// Policies for a call whose outcome is not known, for [Tool].OnDoubt.
const (
	Ask  = "ask"
	Tell = "tell"
	Fail = "fail"
)

// What a tool refuses by itself, for [Tool].Refuses.
const (
	DuplicateKey = "duplicate_key"
	StaleEpoch   = "stale_epoch"
)

// Tool is one tool that is called over HTTP.
type Tool struct {
	Name        string          `yaml:"name" required:"true" pattern:"^[A-Za-z0-9_-]{1,64}$" doc:"The name the model calls it by."`
	Description string          `yaml:"description" optional:"true" doc:"What it does, for the model."`
	Effect      string          `yaml:"effect" default:"at_most_once" enum:"read_only,idempotent,at_most_once" doc:"What may happen to a call after a crash: repeated freely, repeated with the same key, or never repeated."`
	Refuses     string          `yaml:"refuses" optional:"true" enum:"duplicate_key,stale_epoch" doc:"The tool itself refuses a repeated Idempotency-Key or an old AK-Epoch, so a call in doubt may be sent again."`
	Timeout     time.Duration   `yaml:"timeout" default:"30s" min:"1ms" max:"24h" doc:"Time for one call."`
	OnDoubt     string          `yaml:"on_doubt" default:"ask" enum:"ask,tell,fail" doc:"What to do with an at_most_once call whose outcome is not known: ask a human, tell the model, or fail the turn."`
	MaxResult   int64           `yaml:"max_result" default:"262144" min:"1" max:"67108864" unit:"bytes" doc:"The largest result that is read, in bytes."`
	Parameters  json.RawMessage `yaml:"parameters" default:"{\"type\":\"object\",\"properties\":{}}" doc:"JSON Schema (2020-12) of the arguments, of type object."`
	HTTP        HTTP            `yaml:"http" required:"true" doc:"The request that is a call."`
	Reconcile   *Reconcile      `yaml:"reconcile" optional:"true" doc:"How to ask what became of an at_most_once call."`
}

// HTTP is a request made of a tool's arguments.
type HTTP struct {
	Method  string            `yaml:"method" optional:"true" enum:"GET,POST,PUT,PATCH,DELETE" doc:"The method; POST for a call, GET for reconcile."`
	URL     URL               `yaml:"url" required:"true" doc:"An absolute http or https URL. {parameter} and {idempotency_key} stand for escaped values, after the host."`
	Headers map[string]Secret `yaml:"headers" optional:"true" keys:"header" doc:"Headers to send; the values are treated as secrets."`
}

// Reconcile asks a tool what became of a call: 200 with the result means it happened, 404 that it did not.
type Reconcile struct {
	HTTP HTTP `yaml:"http" required:"true" doc:"The question; the method is GET unless it says otherwise."`
}

// Policies for a session that is busy, for [Agent].Busy.
const (
	Queue  = "queue"
	Reject = "reject"
)

// Agent is one agent.
type Agent struct {
	Name         string   `yaml:"name" required:"true" pattern:"^[A-Za-z0-9_-]{1,64}$" doc:"The name callers use."`
	Description  string   `yaml:"description" optional:"true" doc:"What it is for, for people and other agents."`
	Instructions string   `yaml:"instructions" optional:"true" doc:"What the model is told before the conversation."`
	Model        string   `yaml:"model" required:"true" pattern:"^[^/\\s]+/\\S+$" doc:"Provider id and model, as in openai/gpt-5-mini."`
	Tools        []string `yaml:"tools" doc:"Names of the tools it may call."`
	Busy         string   `yaml:"busy" default:"queue" enum:"queue,reject" later:"steer" doc:"What happens to a message for a session whose turn is running."`
	MaxQueue     int      `yaml:"max_queue" default:"64" min:"1" max:"10000" doc:"Unfinished turns in one session, the running one among them."`
	Limits       Limits   `yaml:"limits" doc:"Bounds of one turn."`
}

// Limits bounds one turn.
type Limits struct {
	Steps     int           `yaml:"steps" default:"24" min:"1" max:"10000" doc:"Model calls per turn."`
	Wall      time.Duration `yaml:"wall" default:"10m" min:"1ms" max:"87600h" doc:"Running time; waiting does not count."`
	MaxTokens int64         `yaml:"max_tokens" default:"0" min:"0" max:"1000000000000" doc:"Bound on each answer of the model, in tokens; 0 leaves it to the provider."`
}
