package main

import (
	"context"
	"log/slog"

	"github.com/agentkernel/agentkernel/auth"
	"github.com/agentkernel/agentkernel/config"
	"github.com/agentkernel/agentkernel/fault"
)

// gate says who calls, as configured. Its keys may be replaced while it works.
type gate struct {
	auth.Authenticator            // nil: nobody is asked
	keys               *auth.Keys // set in mode api_key
	jwt                *auth.JWT  // set in mode jwt
}

func newGate(cfg config.Auth, log *slog.Logger) (*gate, error) {
	switch cfg.Mode {
	case config.NoAuth:
		return &gate{}, nil
	case config.APIKeyAuth:
		keys, err := auth.NewKeys(authKeys(cfg.Keys))
		if err != nil {
			return nil, err
		}
		return &gate{Authenticator: keys, keys: keys}, nil
	case config.JWTAuth:
		j := cfg.JWT
		tokens, err := auth.NewJWT(auth.JWTConfig{
			Issuer: j.Issuer, Audience: j.Audience, Algorithms: j.Algorithms, JWKSURL: j.JWKSURL.Reveal(),
			TenantClaim: j.TenantClaim, RolesClaim: j.RolesClaim, Logger: log,
		})
		if err != nil {
			return nil, err
		}
		return &gate{Authenticator: tokens, jwt: tokens}, nil
	}
	return nil, fault.New(fault.Config, "", "auth.mode %q is not in this build", cfg.Mode)
}

func authKeys(keys []config.AuthKey) []auth.Key {
	all := make([]auth.Key, 0, len(keys))
	for _, k := range keys {
		all = append(all, auth.Key{ID: k.ID, Hash: k.Hash, Tenant: k.Tenant, Roles: k.Roles})
	}
	return all
}

// run does what is to be done in the background, until ctx ends.
func (g *gate) run(ctx context.Context) {
	if g.jwt != nil {
		g.jwt.Run(ctx)
	}
}

// reload takes other keys. In another mode than api_key there is nothing to take.
func (g *gate) reload(cfg config.Auth) error {
	if g.keys == nil || cfg.Mode != config.APIKeyAuth {
		return nil
	}
	return g.keys.Replace(authKeys(cfg.Keys))
}
