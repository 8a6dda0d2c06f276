//go:build unix && !linux

package mcptool

import (
	"os/exec"
	"syscall"
)

// ownGroup puts a program into a process group of its own. Where the system cannot kill it with this process, it sees its
// input end.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
