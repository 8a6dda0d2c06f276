package openai

import (
	"testing"

	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/model/modeltest"
)

func TestTheProviderKeepsTheContract(t *testing.T) {
	const key = "sk-test-0123456789abcdef"
	for name, cfg := range map[string]Config{
		"OpenAI":     {APIKey: key},
		"compatible": {KeyFunc: func() string { return key + "\n" }, Compatible: true},
	} {
		t.Run(name, func(t *testing.T) {
			modeltest.Run(t, modeltest.Harness{Secret: key, New: func(baseURL string) (model.Provider, error) {
				cfg.BaseURL = baseURL
				return New(cfg)
			}})
		})
	}
}
