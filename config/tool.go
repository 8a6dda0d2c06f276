package config

import (
	"encoding/json"
	"time"
)

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

// When a human is asked before a call, for [Approval].When.
const (
	Never  = "never"
	Always = "always"
)

// Tool is one tool that is called over HTTP, or all tools of one MCP server. Exactly one of HTTP and MCP is set.
type Tool struct {
	Name        string          `yaml:"name" required:"true" pattern:"^[A-Za-z0-9_-]{1,64}$" doc:"The name the model calls it by; of an MCP server, the beginning of its tools' names: <name>_<tool>."`
	Description string          `yaml:"description" optional:"true" doc:"What it does, for the model."`
	Effect      string          `yaml:"effect" default:"at_most_once" enum:"read_only,idempotent,at_most_once" doc:"What may happen to a call after a crash: repeated freely, repeated with the same key, or never repeated."`
	Refuses     string          `yaml:"refuses" optional:"true" enum:"duplicate_key,stale_epoch" doc:"The tool itself refuses a repeated Idempotency-Key or an old AK-Epoch, so a call in doubt may be sent again."`
	Timeout     time.Duration   `yaml:"timeout" default:"30s" min:"1ms" max:"24h" doc:"Time for one call."`
	OnDoubt     string          `yaml:"on_doubt" default:"ask" enum:"ask,tell,fail" doc:"What to do with an at_most_once call whose outcome is not known: ask a human, tell the model, or fail the turn."`
	MaxResult   int64           `yaml:"max_result" default:"262144" min:"1" max:"67108864" unit:"bytes" doc:"The largest result that is read, in bytes."`
	Parameters  json.RawMessage `yaml:"parameters" optional:"true" default:"{\"type\":\"object\",\"properties\":{}}" doc:"JSON Schema (2020-12) of the arguments, of type object."`
	Approval    Approval        `yaml:"approval" doc:"Whether a human is asked before a call."`
	HTTP        *HTTP           `yaml:"http" optional:"true" either:"mcp" doc:"The request that is a call. A tool has this or mcp."`
	MCP         *MCP            `yaml:"mcp" optional:"true" doc:"The MCP server whose tools are offered. A tool has this or http."`
	Reconcile   *Reconcile      `yaml:"reconcile" optional:"true" doc:"How to ask what became of an at_most_once call."`
}

// Approval says whether a human is asked before a call.
type Approval struct {
	When    string        `yaml:"when" default:"never" enum:"never,always" doc:"never: calls are made at once. always: each call waits for a decision."`
	Expires time.Duration `yaml:"expires" default:"24h" min:"1s" max:"87600h" doc:"After this time without a decision the call is refused."`
	Roles   []string      `yaml:"roles" enum:"user,approver,operator" doc:"Who may decide; empty leaves it to everyone who may approve at all."`
}

// MCP is a server of tools that speaks the Model Context Protocol: a program that is started, or a URL.
type MCP struct {
	Command []string           `yaml:"command" optional:"true" either:"url" doc:"The program and its arguments; it speaks over its standard input and output."`
	Env     map[string]Secret  `yaml:"env" optional:"true" keys:"env" doc:"Variables for the program; the values are treated as secrets."`
	URL     URL                `yaml:"url" optional:"true" doc:"An absolute http or https URL, in place of a command."`
	Headers map[string]Secret  `yaml:"headers" optional:"true" keys:"header" doc:"Headers to send to the URL; the values are treated as secrets."`
	Only    []string           `yaml:"only" optional:"true" doc:"The server's tools that are offered; empty means all of them."`
	Each    map[string]MCPTool `yaml:"each" optional:"true" keys:"tool" doc:"What differs for single tools of the server, by their names there."`
}

// MCPTool is what one tool of an MCP server has in place of the entry's own. What is not given is as in the entry.
type MCPTool struct {
	Effect   string        `yaml:"effect" optional:"true" enum:"read_only,idempotent,at_most_once" doc:"Overrides effect for this tool."`
	Refuses  string        `yaml:"refuses" optional:"true" enum:"duplicate_key,stale_epoch" doc:"Overrides refuses for this tool."`
	Timeout  time.Duration `yaml:"timeout" min:"1ms" max:"24h" doc:"Overrides timeout for this tool."`
	OnDoubt  string        `yaml:"on_doubt" optional:"true" enum:"ask,tell,fail" doc:"Overrides on_doubt for this tool."`
	Approval *Approval     `yaml:"approval" optional:"true" doc:"Overrides approval for this tool, as a whole."`
}

// HTTP is a request made of a tool's arguments, or to a hook.
type HTTP struct {
	Method  string            `yaml:"method" optional:"true" enum:"GET,POST,PUT,PATCH,DELETE" doc:"The method; POST for a call and a hook, GET for reconcile."`
	URL     URL               `yaml:"url" required:"true" doc:"An absolute http or https URL. {parameter} and {idempotency_key} stand for escaped values, after the host."`
	Headers map[string]Secret `yaml:"headers" optional:"true" keys:"header" doc:"Headers to send; the values are treated as secrets."`
}

// Reconcile asks a tool what became of a call: 200 with the result means it happened, 404 that it did not.
type Reconcile struct {
	HTTP HTTP `yaml:"http" required:"true" doc:"The question; the method is GET unless it says otherwise."`
}
