//go:build unix

package mcptool

import "syscall"

// badCommand are errors of a start that say that the command is no program.
var badCommand = []error{syscall.ENOEXEC, syscall.ENOTDIR}

// killGroup kills a program and what it started.
func killGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }
