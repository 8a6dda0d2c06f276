package agentkernel

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/store/memory"
)

func TestATurnIsAnsweredAndRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, memory.New())
		r := w.replica(w.config(), "", 0, "")
		defer r.stop()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for _, prompt := range []string{"hello", "read|once read", "idem refuse ask"} {
			h, err := r.Start(ctx, Request{Session: "s", Prompt: prompt})
			if err != nil {
				t.Fatal(err)
			}
			reply, err := h.Wait(ctx)
			if err != nil || reply.Text != "done: "+prompt {
				t.Fatalf("reply %q, %v", reply.Text, err)
			}
		}
		messages, err := r.Messages(session.Key{ID: "s"})
		if err != nil || len(messages) != 2+7+6 {
			t.Errorf("%d messages, %v", len(messages), err)
		}
	})
}
