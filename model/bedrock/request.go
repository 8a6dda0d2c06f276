package bedrock

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/document"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"
	smithydocument "github.com/aws/smithy-go/document"

	"github.com/agentkernel/agentkernel/model"
)

// input writes a request in the SDK's words.
func (p *Provider) input(req *model.Request) (*bedrockruntime.ConverseStreamInput, error) {
	if req.Model == "" {
		return nil, errors.New("the request names no model")
	}
	in := &bedrockruntime.ConverseStreamInput{ModelId: aws.String(req.Model)}
	if req.Temperature != nil || req.MaxTokens > 0 {
		in.InferenceConfig = &types.InferenceConfiguration{}
		if req.Temperature != nil {
			in.InferenceConfig.Temperature = aws.Float32(float32(*req.Temperature))
		}
		if req.MaxTokens > 0 {
			in.InferenceConfig.MaxTokens = aws.Int32(int32(min(req.MaxTokens, math.MaxInt32))) //nolint:gosec // bounded
		}
	}
	if strings.TrimSpace(req.Instructions) != "" {
		in.System = []types.SystemContentBlock{&types.SystemContentBlockMemberText{Value: req.Instructions}}
	}
	var err error
	if in.ToolConfig, err = toolConfig(req); err != nil {
		return nil, err
	}
	if schema := bytes.TrimSpace(req.Schema); p.schemas && len(schema) > 0 {
		if !json.Valid(schema) {
			return nil, errors.New("the schema of the answer is not JSON")
		}
		in.OutputConfig = &types.OutputConfig{TextFormat: &types.OutputFormat{
			Type: types.OutputFormatTypeJsonSchema,
			Structure: &types.OutputFormatStructureMemberJsonSchema{Value: types.JsonSchemaDefinition{
				Name: aws.String("answer"), Schema: aws.String(string(schema)),
			}},
		}}
	}
	in.Messages, err = messages(req)
	return in, err
}

// toolConfig offers the tools. Without any it names those that the conversation calls, since Bedrock refuses calls in a
// conversation without tools.
func toolConfig(req *model.Request) (*types.ToolConfiguration, error) {
	tools := req.Tools
	if len(tools) == 0 {
		seen := map[string]bool{}
		for _, m := range req.Messages {
			for _, c := range m.Calls() {
				if !seen[c.Name] {
					seen[c.Name] = true
					tools = append(tools, model.Tool{Name: c.Name})
				}
			}
		}
	}
	if len(tools) == 0 {
		return nil, nil
	}
	cfg := &types.ToolConfiguration{}
	for _, t := range tools {
		schema := t.Parameters
		if len(bytes.TrimSpace(schema)) == 0 {
			schema = json.RawMessage(`{"type":"object","properties":{}}`)
		}
		doc, err := toDocument(schema)
		if err != nil {
			return nil, fmt.Errorf("the parameters of tool %s are not a JSON object", t.Name)
		}
		spec := types.ToolSpecification{
			Name: aws.String(t.Name), InputSchema: &types.ToolInputSchemaMemberJson{Value: doc},
		}
		if t.Description != "" {
			spec.Description = aws.String(t.Description)
		}
		cfg.Tools = append(cfg.Tools, &types.ToolMemberToolSpec{Value: spec})
	}
	return cfg, nil
}

// toDocument turns a JSON object into the SDK's kind of value, with its numbers as they are written.
func toDocument(raw json.RawMessage) (document.Interface, error) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || string(raw) == "null" {
		raw = json.RawMessage("{}")
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	if _, ok := v.(map[string]any); !ok || dec.More() {
		return nil, errors.New("not an object")
	}
	return document.NewLazyDocument(numbers(v)), nil
}

// numbers replaces the numbers of package json by those that the SDK knows; it would write the former as texts.
func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		return smithydocument.Number(v)
	case map[string]any:
		for name, field := range v {
			v[name] = numbers(field)
		}
	case []any:
		for i, item := range v {
			v[i] = numbers(item)
		}
	}
	return v
}
