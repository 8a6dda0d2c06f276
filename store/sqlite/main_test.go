package sqlite

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// childEnv makes the test binary a child process that does one job on the file it names.
const childEnv = "AGENTKERNEL_SQLITE_TEST_CHILD"

func TestMain(m *testing.M) {
	if job := os.Getenv(childEnv); job != "" {
		os.Exit(child(job))
	}
	goleak.VerifyTestMain(m)
}
