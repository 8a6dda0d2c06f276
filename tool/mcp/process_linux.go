package mcptool

import (
	"os/exec"
	"syscall"
)

// ownGroup puts a program into a process group of its own, and has the system kill it when this process dies.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
