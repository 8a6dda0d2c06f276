package config

// Ways in which callers prove who they are, for [Auth].Mode.
const (
	NoAuth     = "none"
	APIKeyAuth = "api_key"
	JWTAuth    = "jwt"
)

// Roles of callers, for [AuthKey].Roles and [Approval].Roles.
const (
	RoleUser     = "user"
	RoleApprover = "approver"
	RoleOperator = "operator"
)

// Auth says how callers prove who they are.
type Auth struct {
	Mode string    `yaml:"mode" default:"none" enum:"none,api_key,jwt" doc:"none: everyone who reaches the address may do everything. api_key: one of auth.keys. jwt: a token that auth.jwt.issuer signed."`
	Keys []AuthKey `yaml:"keys" optional:"true" doc:"The keys of mode api_key. Several may belong to one caller, so that one can be replaced by another."`
	JWT  JWT       `yaml:"jwt" optional:"true" doc:"The tokens of mode jwt."`
}

// AuthKey is one key that callers may use. The key itself is not here, only its hash.
type AuthKey struct {
	ID     string   `yaml:"id" required:"true" pattern:"^[A-Za-z0-9_-]{1,64}$" doc:"A name for the key, for logs; no two keys share one."`
	Hash   string   `yaml:"hash" required:"true" pattern:"^sha256:[0-9a-f]{64}$" hidden:"true" doc:"SHA-256 of the key, as ak auth key prints it: sha256: and 64 hex digits."`
	Tenant string   `yaml:"tenant" optional:"true" pattern:"^[A-Za-z0-9_:@+=-][A-Za-z0-9._:@+=-]{0,127}$" doc:"The tenant whose sessions the caller sees; empty is the one without a name."`
	Roles  []string `yaml:"roles" default:"user" enum:"user,approver,operator" doc:"What the caller may do: use agents, decide about calls, see and repair everything of its tenant."`
}

// JWT says which signed tokens are believed.
type JWT struct {
	Issuer      string   `yaml:"issuer" optional:"true" doc:"The URL that tokens must name as their issuer, to the letter."`
	Audience    string   `yaml:"audience" optional:"true" doc:"What tokens must name as their audience."`
	Algorithms  []string `yaml:"algorithms" default:"RS256,ES256" enum:"RS256,RS384,RS512,PS256,PS384,PS512,ES256,ES384,ES512,EdDSA" doc:"Signatures that are believed. Only asymmetric ones exist here."`
	JWKSURL     URL      `yaml:"jwks_url" optional:"true" doc:"Where the issuer's public keys are; the default is found at the issuer, below /.well-known/openid-configuration."`
	TenantClaim string   `yaml:"tenant_claim" optional:"true" doc:"The claim that holds the caller's tenant; without it there is one tenant, without a name."`
	RolesClaim  string   `yaml:"roles_claim" optional:"true" doc:"The claim that holds the caller's roles, a list or text with spaces; without it every caller is a user."`
}
