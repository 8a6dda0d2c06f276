package chaos

import (
	"os"
	"os/exec"
	"sync"
	"syscall"
)

// apart is how a process is started that shares no process ids with the others, as one in another container or on
// another machine. Nobody can see that it has ended then, and its lease decides. nil where the system does not let us.
func apart() *syscall.SysProcAttr {
	if !mayBeApart() {
		return nil
	}
	return apartAttr()
}

func apartAttr() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	if uid, gid := os.Getuid(), os.Getgid(); uid != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
	}
	return attr
}

// mayBeApart reports whether the system lets us start processes with ids of their own.
var mayBeApart = sync.OnceValue(func() bool {
	cmd := exec.Command("/proc/self/exe", "-test.run", "^$")
	cmd.Env = []string{roleVariable + "=nothing"}
	cmd.SysProcAttr = apartAttr()
	return cmd.Run() == nil
})
