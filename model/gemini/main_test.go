package gemini

import (
	"testing"

	"go.uber.org/goleak"
)

// One of the SDK's libraries starts a goroutine when it is loaded.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"))
}
