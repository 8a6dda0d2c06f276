package server

import (
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
)

// describe is the frame of the OpenAPI description. Schemas allow further properties, so that a field which a later
// release adds does not break a client that was made from this one; bodies that must not have any say so themselves.
func (s *Server) describe() huma.Config {
	cfg := huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Agent Kernel", Version: s.cfg.Version,
				Description: "Agents that stay available and correct: an accepted turn is never lost, and nothing is done twice. Errors are RFC 9457 problems with a stable code.",
			},
			Components: &huma.Components{Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)},
			Tags: []*huma.Tag{
				{Name: "turns", Description: "Requests and what becomes of them"},
				{Name: "sessions", Description: "Conversations"},
				{Name: "agents", Description: "Who can be asked"},
				{Name: "health", Description: "How the service is"},
			},
		},
		Formats:       map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat}, // the second is for +json
		DefaultFormat: "application/json",
	}
	if s.cfg.Auth != nil {
		cfg.Components.SecuritySchemes = schemes()
	}
	cfg.AllowAdditionalPropertiesByDefault = true
	return cfg
}

// media is the description of a body of v's type.
func (s *Server) media(contentType string, v any) map[string]*huma.MediaType {
	schema := s.api.OpenAPI().Components.Schemas.Schema(reflect.TypeOf(v), true, "")
	return map[string]*huma.MediaType{contentType: {Schema: schema}}
}

// responses describes what an operation answers besides its ordinary success, and that everything else is a problem.
func (s *Server) responses(also map[string]*huma.Response) map[string]*huma.Response {
	also["default"] = &huma.Response{Description: "The request was refused, or what it asked for failed", Content: s.media("application/problem+json", Problem{})}
	return also
}

// eventStream is the description of a stream.
func eventStream() map[string]*huma.MediaType {
	return map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: "string"}}}
}

// location is the description of the header that says where a turn can be looked at.
func location() map[string]*huma.Param {
	return map[string]*huma.Param{"Location": {Schema: &huma.Schema{Type: "string"}, Description: "Where the turn can be looked at"}}
}

// operation is what all operations have in common.
func (s *Server) operation(tag, id, method, path, summary, description string) huma.Operation {
	return huma.Operation{
		OperationID: id, Method: method, Path: path, Tags: []string{tag}, Summary: summary, Description: description,
		MaxBodyBytes:    s.cfg.MaxBody + 1, // huma counts the limit itself as too much
		BodyReadTimeout: s.cfg.BodyTimeout,
		DefaultStatus:   http.StatusOK,
		Responses:       s.responses(map[string]*huma.Response{}),
		Security:        s.security(method + " " + path),
	}
}

func (s *Server) routes() {
	s.routeChat()
	s.routeTurns()
	s.routeSessions()
	s.routeHealth()
}
