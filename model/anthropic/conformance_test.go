package anthropic

import (
	"testing"

	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/model/modeltest"
)

func TestTheProviderKeepsTheContract(t *testing.T) {
	const key = "sk-ant-test-0123456789abcdef"
	modeltest.Run(t, modeltest.Harness{Secret: key, Format: modeltest.Anthropic, New: func(baseURL string) (model.Provider, error) {
		return New(Config{APIKey: key, BaseURL: baseURL})
	}})
}
