package proc

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// Self names this process; zero when the system does not say.
func Self() ID {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ID{}
	}
	space, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return ID{}
	}
	start, err := started(os.Getpid())
	if err != nil {
		return ID{}
	}
	return ID{Host: strings.TrimSpace(string(boot)) + " " + space, PID: os.Getpid(), Start: start}
}

// Gone reports that the process that id names has certainly ended: it was one of this machine and pid namespace, and it
// is not there any more, or its number belongs to a later one.
func Gone(self, id ID) bool {
	if id.Host == "" || id.Host != self.Host || id.PID <= 0 {
		return false
	}
	start, err := started(id.PID)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	return start != id.Start
}

// started reads a process's start time. A zombie has one too; it counts as there until its parent collects it.
func started(pid int) (uint64, error) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, err
	}
	// The second field is the program's name in parentheses, which may hold anything; the start is the 22nd field.
	i := bytes.LastIndexByte(stat, ')')
	fields := strings.Fields(string(stat[i+1:]))
	if i < 0 || len(fields) < 20 {
		return 0, errors.New("/proc is not as expected")
	}
	return strconv.ParseUint(fields[19], 10, 64)
}
