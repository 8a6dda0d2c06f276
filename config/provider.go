package config

// Types of provider, for [Provider].Type.
const (
	OpenAI           = "openai"
	OpenAICompatible = "openai_compatible"
	Anthropic        = "anthropic"
	Gemini           = "gemini"
	Bedrock          = "bedrock"
	Scripted         = "scripted"
)

// Provider is one source of models.
type Provider struct {
	Type    string `yaml:"type" enum:"openai,openai_compatible,anthropic,gemini,bedrock,scripted" optional:"true" doc:"What the provider speaks. The ids openai, anthropic, gemini and bedrock have that type; every other id must say."`
	APIKey  Secret `yaml:"api_key" optional:"true" doc:"The key. The default is the variable OPENAI_API_KEY for type openai, ANTHROPIC_API_KEY for anthropic, GEMINI_API_KEY or GOOGLE_API_KEY for gemini, AWS_BEARER_TOKEN_BEDROCK for bedrock, which can do without. Write <file:NAME> or use the environment."`
	BaseURL URL    `yaml:"base_url" optional:"true" doc:"Where the API is. The default is the variable OPENAI_BASE_URL, else https://api.openai.com/v1, for type openai, and ANTHROPIC_BASE_URL, else https://api.anthropic.com, for anthropic; gemini and bedrock know their own."`
	Region  string `yaml:"region" optional:"true" pattern:"^[a-z0-9][a-z0-9-]{0,63}$" doc:"For type bedrock: the AWS region; the default is the variable AWS_REGION, else AWS_DEFAULT_REGION."`
	Script  string `yaml:"script" optional:"true" doc:"For type scripted: the JSON or YAML file with the answers; empty means the built-in script."`
}

// Model is what is known of a model.
type Model struct {
	Window int   `yaml:"window" default:"0" min:"0" max:"1000000000" doc:"Tokens that fit into a request and its answer; 0 if that is not known."`
	Price  Price `yaml:"price" doc:"What the model costs, for agents with limits.money."`
}

// Price is what a model costs, in dollars per million tokens.
type Price struct {
	Input  float64 `yaml:"input" default:"0" min:"0" max:"1000000" doc:"Dollars per million tokens read."`
	Cached float64 `yaml:"cached" default:"0" min:"0" max:"1000000" doc:"Dollars per million tokens read from the provider's cache; 0 means as input."`
	Output float64 `yaml:"output" default:"0" min:"0" max:"1000000" doc:"Dollars per million tokens written."`
}

// Egress is where tools may connect to.
type Egress struct {
	Allow []string `yaml:"allow" doc:"Hosts (api.example.com, api.example.com:8443, *.example.com), addresses and networks (10.0.0.0/8) that tools may reach besides the hosts written in their own URLs. Everything else is refused, redirects included."`
}
