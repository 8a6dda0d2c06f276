//go:build !linux

package chaos

import "syscall"

func apart() *syscall.SysProcAttr { return nil }

func mayBeApart() bool { return false }
