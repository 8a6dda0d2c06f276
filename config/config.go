package config

import "time"

// Config is the whole configuration. A value made by [Load] is complete and checked; it must not be changed. A Config
// prints, marshals and logs as its masked form.
type Config struct {
	API       API                 `yaml:"api" doc:"Where the HTTP API listens."`
	Admin     Admin               `yaml:"admin" doc:"The listener for profiles and debugging."`
	Auth      Auth                `yaml:"auth" doc:"Who may call the API."`
	Log       Log                 `yaml:"log" doc:"The log on standard error."`
	Session   Session             `yaml:"session" doc:"Where sessions are stored and for how long."`
	Execution Execution           `yaml:"execution" doc:"How turns are run, taken over and drained."`
	Providers map[string]Provider `yaml:"providers" doc:"Model providers by id; an agent's model is \"id/model\"." keys:"id"`
	Models    map[string]Model    `yaml:"models" doc:"What is known of models, by the names that agents give them: \"openai/gpt-5-mini\"." keys:"model"`
	Egress    Egress              `yaml:"egress" doc:"Where tools may connect to. Model providers are not affected."`
	Tools     []Tool              `yaml:"tools" doc:"Tools that agents may call."`
	Agents    []Agent             `yaml:"agents" doc:"The agents that are served; the first is the default one."`

	from origins // where each value came from; empty in a Config that was not loaded
}

// API is the address of the HTTP API and the bounds of what it takes.
type API struct {
	Host        string        `yaml:"host" own:"true" default:"127.0.0.1" doc:"Host name or IP address to listen on. Anything but loopback needs auth.mode in writing."`
	Port        int           `yaml:"port" own:"true" default:"8000" min:"0" max:"65535" doc:"TCP port; 0 takes a free one."`
	MaxBody     int64         `yaml:"max_body" default:"1048576" min:"1024" max:"1073741824" unit:"bytes" doc:"The largest JSON body that is taken, in bytes."`
	MaxFiles    int           `yaml:"max_files" default:"8" min:"0" max:"1000" doc:"Files in one message; 0 takes none."`
	MaxFileSize int64         `yaml:"max_file_size" default:"10485760" min:"1" max:"1073741824" unit:"bytes" doc:"The largest file that is taken, in bytes."`
	MaxStreams  int           `yaml:"max_streams" default:"1000" min:"1" max:"1000000" doc:"Event streams that are open at a time."`
	BodyTimeout time.Duration `yaml:"body_timeout" default:"30s" min:"1ms" max:"1h" doc:"Time in which a request's body has to come whole."`
}

// Admin is the listener for profiles and debugging. It asks nobody who they are, so it is on loopback only.
type Admin struct {
	Host string `yaml:"host" own:"true" default:"127.0.0.1" doc:"Loopback address to listen on."`
	Port int    `yaml:"port" own:"true" default:"0" min:"0" max:"65535" doc:"TCP port; 0 turns the listener off."`
}

// Log is how much is logged and in which form.
type Log struct {
	Level  string `yaml:"level" default:"info" enum:"debug,info,warn,error" doc:"The least important entries that are still written."`
	Format string `yaml:"format" default:"json" enum:"json,text" doc:"json: one object a line; text: key=value."`
}

// Execution is how turns are run and taken over.
type Execution struct {
	LeaseTTL        time.Duration `yaml:"lease_ttl" default:"5s" min:"1s" max:"1h" doc:"A replica that shows no sign of life for this long is taken over."`
	SweepInterval   time.Duration `yaml:"sweep_interval" default:"1s" min:"10ms" max:"1h" doc:"How often a replica looks for turns that need attention; at most lease_ttl."`
	MaxRecoveries   int           `yaml:"max_recoveries" default:"3" min:"1" max:"1000" doc:"Recoveries of one turn without progress before it is quarantined."`
	MaxRunningTurns int           `yaml:"max_running_turns" default:"256" min:"1" max:"1000000" doc:"Turns that one process runs at a time."`
	IdempotencyTTL  time.Duration `yaml:"idempotency_ttl" default:"24h" min:"1s" max:"87600h" doc:"How long an Idempotency-Key is remembered; never longer than its session."`
	WaitMax         time.Duration `yaml:"wait_max" default:"24h" min:"1s" max:"87600h" doc:"How long a turn may wait for somebody's decision before it fails."`
	Zone            string        `yaml:"zone" optional:"true" own:"true" pattern:"^[A-Za-z0-9_.:/-]{0,64}$" doc:"Where this process runs, as in eu-central-1a; shown beside its id in the list of replicas."`
	Drain           Drain         `yaml:"drain" doc:"What happens between SIGTERM and the end of the process."`
}

// Drain is how a process ends.
type Drain struct {
	Delay   time.Duration `yaml:"delay" default:"5s" min:"0s" max:"1h" doc:"Time in which a leaving replica says \"not ready\" but still takes requests for others to run; longer than a load balancer needs to notice."`
	Timeout time.Duration `yaml:"timeout" default:"75s" min:"1ms" max:"24h" doc:"Time for running turns to finish before they are handed over."`
}
