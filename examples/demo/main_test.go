package main

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestTheStoryIsTrue(t *testing.T) {
	dir := t.TempDir()
	s := &story{
		ak: filepath.Join(dir, "ak"), paydesk: filepath.Join(dir, "paydesk"), config: "../quickstart/config.yaml",
	}
	for _, args := range [][]string{
		{"build", "-tags", "failpoint", "-o", s.ak, "../../cmd/ak"},
		{"build", "-o", s.paydesk, "../quickstart/paydesk"},
	} {
		if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
			t.Fatalf("go %v: %v\n%s", args, err, out)
		}
	}
	if err := s.run(context.Background()); err != nil {
		t.Fatal(err)
	}
}
