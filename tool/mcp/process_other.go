//go:build !unix

package mcptool

import (
	"os"
	"os/exec"
)

var badCommand []error

func ownGroup(*exec.Cmd) {}

// killGroup kills a program; what it started sees its input end.
func killGroup(pid int) {
	if p, err := os.FindProcess(pid); err == nil {
		_ = p.Kill()
	}
}
