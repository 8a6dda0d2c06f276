package gemini

import (
	"testing"

	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/model/modeltest"
)

func TestTheProviderKeepsTheContract(t *testing.T) {
	const key = "AIza-test-0123456789abcdef"
	for name, cfg := range map[string]Config{
		"key":      {APIKey: key},
		"key func": {KeyFunc: func() string { return key + "\n" }},
	} {
		t.Run(name, func(t *testing.T) {
			modeltest.Run(t, modeltest.Harness{
				Secret: key, Format: modeltest.Gemini,
				New: func(baseURL string) (model.Provider, error) {
					cfg.BaseURL = baseURL
					return New(cfg)
				},
			})
		})
	}
}
