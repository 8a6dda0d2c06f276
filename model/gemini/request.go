package gemini

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"google.golang.org/genai"

	"github.com/agentkernel/agentkernel/model"
)

// requestBody writes a request in the SDK's words. Schemas and arguments are passed on byte for byte.
func requestBody(req *model.Request) (map[string]any, error) {
	switch {
	case req.Model == "":
		return nil, errors.New("the request names no model")
	case strings.ContainsAny(req.Model, "?&#") || strings.Contains(req.Model, ".."):
		return nil, errors.New("the model's name contains a character that an address cannot carry")
	}
	body := map[string]any{}
	contents, err := contents(req)
	if err != nil {
		return nil, err
	}
	body["contents"] = contents
	if req.Instructions != "" {
		body["systemInstruction"] = &genai.Content{Parts: []*genai.Part{{Text: req.Instructions}}}
	}
	if len(req.Tools) > 0 {
		tools, err := tools(req.Tools)
		if err != nil {
			return nil, err
		}
		body["tools"] = []*genai.Tool{tools}
		if req.NoCalls {
			body["toolConfig"] = &genai.ToolConfig{
				FunctionCallingConfig: &genai.FunctionCallingConfig{Mode: genai.FunctionCallingConfigModeNone},
			}
		}
	}
	generation, err := generation(req)
	if err != nil {
		return nil, err
	}
	if len(generation) > 0 {
		body["generationConfig"] = generation
	}
	return body, nil
}

func generation(req *model.Request) (map[string]any, error) {
	cfg := map[string]any{}
	if req.MaxTokens > 0 {
		cfg["maxOutputTokens"] = min(req.MaxTokens, math.MaxInt32)
	}
	if req.Temperature != nil {
		cfg["temperature"] = *req.Temperature
	}
	if schema := bytes.TrimSpace(req.Schema); len(schema) > 0 && (len(req.Tools) == 0 || generationOf(req.Model) >= 3) {
		if !json.Valid(schema) {
			return nil, errors.New("the schema of the answer is not JSON")
		}
		cfg["responseMimeType"] = "application/json"
		cfg["responseJsonSchema"] = json.RawMessage(schema)
	}
	return cfg, nil
}

func tools(all []model.Tool) (*genai.Tool, error) {
	tool := &genai.Tool{}
	for _, t := range all {
		schema := json.RawMessage(bytes.TrimSpace(t.Parameters))
		if len(schema) == 0 {
			schema = json.RawMessage(`{"type":"object","properties":{}}`)
		}
		if !json.Valid(schema) {
			return nil, fmt.Errorf("the parameters of tool %s are not JSON", t.Name)
		}
		tool.FunctionDeclarations = append(tool.FunctionDeclarations, &genai.FunctionDeclaration{
			Name: t.Name, Description: t.Description, ParametersJsonSchema: schema,
		})
	}
	return tool, nil
}

var modelGeneration = regexp.MustCompile(`(?i)(?:^|[/-])gemini-(\d+)`)

// generationOf is the number after "gemini-" in a model's name; 0 if there is none.
func generationOf(name string) int {
	m := modelGeneration.FindStringSubmatch(name)
	if m == nil {
		return 0
	}
	n, err := strconv.Atoi(m[1])
	if err != nil { // more digits than any version has
		return 0
	}
	return n
}
