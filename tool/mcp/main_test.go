package mcptool

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain is also the MCP server that the tests start: this binary, told by a variable which part to play.
func TestMain(m *testing.M) {
	if role := os.Getenv("MCP_ROLE"); role != "" {
		serve(role)
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}
