package bedrock

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/model/modeltest"
)

func TestTheProviderKeepsTheContract(t *testing.T) {
	isolate(t)
	const secret = "test-0123456789-abcdef"
	modeltest.Run(t, modeltest.Harness{
		Secret: secret, Format: modeltest.Bedrock,
		New: func(baseURL string) (model.Provider, error) {
			return New(Config{
				BaseURL: baseURL, Region: "eu-central-1", Schemas: true,
				Credentials: credentials.NewStaticCredentialsProvider("access-key-id", secret, ""),
			})
		},
	})
}

// isolate keeps the settings of whoever runs the test out of it.
func isolate(t *testing.T) {
	t.Helper()
	for _, name := range []string{
		"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_BEARER_TOKEN_BEDROCK", "AWS_ACCESS_KEY_ID",
		"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
	} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", t.TempDir()+"/config")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", t.TempDir()+"/credentials")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
}
