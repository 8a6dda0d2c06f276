package session_test

import (
	"strings"
	"testing"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

func TestAStoreIsOpenedAsItWasMade(t *testing.T) {
	stored := session.Meta{Format: 2, Generation: 7, Buckets: 16, Prefix: "ak:"}
	for name, c := range map[string]struct {
		stored, want session.Meta
		kind         fault.Kind
		says         string
	}{
		"alike":           {stored, session.Meta{Format: 2, Buckets: 16, Prefix: "ak:"}, "", ""},
		"a newer release": {stored, session.Meta{Format: 3, Buckets: 16, Prefix: "ak:"}, "", ""},
		"an older one":    {stored, session.Meta{Format: 1, Buckets: 16, Prefix: "ak:"}, fault.Unreadable, "format 2"},
		"fewer buckets":   {stored, session.Meta{Format: 2, Buckets: 8, Prefix: "ak:"}, fault.Config, "16 buckets and is opened with 8"},
		"another prefix":  {stored, session.Meta{Format: 2, Buckets: 16, Prefix: "x:"}, fault.Config, `"ak:" and is opened with "x:"`},
		"nothing":         {session.Meta{}, stored, fault.Corrupt, "does not say"},
		"no generation":   {session.Meta{Format: 2, Buckets: 16}, stored, fault.Corrupt, "does not say"},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.stored.Check(c.want)
			if fault.KindOf(err) != c.kind {
				t.Fatalf("%v, want %q", err, c.kind)
			}
			if err != nil && (!strings.Contains(err.Error(), c.says) || c.kind != fault.Corrupt && fault.Try(err) == "") {
				t.Errorf("%q does not say %q, or what to do", err, c.says)
			}
		})
	}
}
