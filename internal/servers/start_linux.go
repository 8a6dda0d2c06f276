package servers

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// starts takes the processes that are to be started to the one thread that starts them.
var starts = sync.OnceValue(func() chan<- func() {
	c := make(chan func())
	go func() {
		runtime.LockOSThread() // and it never ends, so neither does the thread
		for f := range c {
			f()
		}
	}()
	return c
})

// Start starts a process that the system kills when this one ends, however it ends: a test that times out, panics or is
// killed runs no cleanup. The system takes the end of the thread that started a process for the end of its parent, so
// all are started by one thread that stays.
func Start(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	err := make(chan error)
	starts() <- func() { err <- cmd.Start() }
	return <-err
}
