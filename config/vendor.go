package config

import (
	"net/url"
)

// Variables that are the defaults of providers' values. The names are those that the vendors' own tools read.
const (
	EnvOpenAIKey        = "OPENAI_API_KEY"           // api_key of type openai
	EnvOpenAIBaseURL    = "OPENAI_BASE_URL"          // base_url of type openai
	EnvAnthropicKey     = "ANTHROPIC_API_KEY"        // api_key of type anthropic
	EnvAnthropicBaseURL = "ANTHROPIC_BASE_URL"       // base_url of type anthropic
	EnvGeminiKey        = "GEMINI_API_KEY"           // api_key of type gemini
	EnvGoogleKey        = "GOOGLE_API_KEY"           // the same, where GEMINI_API_KEY is not set
	EnvBedrockToken     = "AWS_BEARER_TOKEN_BEDROCK" // api_key of type bedrock
	EnvAWSRegion        = "AWS_REGION"               // region of type bedrock
	EnvAWSDefaultRegion = "AWS_DEFAULT_REGION"       // the same, where AWS_REGION is not set
)

// vendor is what a type of provider has by itself. A provider whose id is the name of such a type is of that type.
type vendor struct {
	keys, bases, regions []string // variables, the first one that is set holds
	base                 string   // the base URL in the end
	needsKey             bool     // to serve
}

var vendors = map[string]vendor{
	OpenAI:    {keys: []string{EnvOpenAIKey}, bases: []string{EnvOpenAIBaseURL}, base: "https://api.openai.com/v1", needsKey: true},
	Anthropic: {keys: []string{EnvAnthropicKey}, bases: []string{EnvAnthropicBaseURL}, base: "https://api.anthropic.com", needsKey: true},
	Gemini:    {keys: []string{EnvGeminiKey, EnvGoogleKey}, needsKey: true},
	Bedrock:   {keys: []string{EnvBedrockToken}, regions: []string{EnvAWSRegion, EnvAWSDefaultRegion}},
}

// provider fills what a provider of a vendor takes from the vendor's variables.
func (l *loader) provider(p *Provider, at string) {
	v, ok := vendors[p.Type]
	if !ok {
		return
	}
	if name, key := l.firstSet(v.keys); p.APIKey.IsZero() && key != "" {
		l.vault.hide(key)
		p.APIKey = NewSecret(key)
		l.cfg.from.set(at+".api_key", Source{Kind: FromEnv, Name: name})
	}
	if name, region := l.firstSet(v.regions); p.Region == "" && !l.cfg.isSet(at+".region") && region != "" {
		p.Region = region
		l.cfg.from.set(at+".region", Source{Kind: FromEnv, Name: name})
	}
	if !p.BaseURL.IsZero() {
		return
	}
	p.BaseURL = NewURL(v.base)
	if name, base := l.firstSet(v.bases); base != "" {
		p.BaseURL = NewURL(base)
		l.cfg.from.set(at+".base_url", Source{Kind: FromEnv, Name: name})
		if u, err := url.Parse(base); err == nil && u.User != nil {
			password, _ := u.User.Password()
			l.vault.hide(password)
		}
	}
}

// firstSet is the first variable that is set, and its value.
func (l *loader) firstSet(names []string) (name, value string) {
	for _, name := range names {
		if value := l.env[name]; value != "" {
			return name, value
		}
	}
	return "", ""
}
