package main

import (
	"bufio"
	"bytes"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
)

// Go knows nothing of the memory limit of its container: it would let garbage pile up to it and be killed. ak serve
// tells it a soft limit below the container's, so that it collects harder instead.

// envMemoryLimit is Go's own variable. Who sets it decides.
const envMemoryLimit = "GOMEMLIMIT"

// memoryShare is the part of the container's memory that Go may use: the rest is for what Go does not count, as SQLite's
// memory map and the stacks of the system.
const memoryShare = 0.9

// limitMemory sets Go's soft memory limit from the container's, unless somebody chose one. It returns what it set, 0 for
// nothing.
func limitMemory(log *slog.Logger) int64 {
	if os.Getenv(envMemoryLimit) != "" {
		return 0
	}
	limit, ok := cgroupMemory(os.DirFS("/"))
	if !ok {
		return 0
	}
	set := int64(float64(limit) * memoryShare)
	debug.SetMemoryLimit(set)
	log.Info("the memory limit follows the container's", "container_bytes", limit, "soft_limit_bytes", set)
	return set
}

// cgroupMemory is the lowest memory limit, in bytes, of the control groups (version 1 or 2) that this process is in. It
// reads a file system whose root is that of the machine. Where a group of the machine is not to be seen inside of a
// container, the root of what is mounted there is the container's own group.
func cgroupMemory(root fs.FS) (bytes int64, ok bool) {
	data, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return 0, false
	}
	lowest := int64(math.MaxInt64)
	for dir, file := range memoryGroups(data) {
		for base := mountOf(file); ; dir = path.Dir(dir) {
			if n, ok := readLimit(root, path.Join(base, dir, file)); ok {
				lowest = min(lowest, n)
			}
			if dir == "/" || dir == "." {
				break
			}
		}
	}
	return lowest, lowest < math.MaxInt64
}

// Files with a limit, by version.
const (
	limitV1 = "memory.limit_in_bytes"
	limitV2 = "memory.max"
)

func mountOf(file string) string {
	if file == limitV1 {
		return "sys/fs/cgroup/memory"
	}
	return "sys/fs/cgroup"
}

// memoryGroups are the groups that bound memory, in the lines "id:controllers:/path" of /proc/self/cgroup, each with the
// file that holds its limit.
func memoryGroups(data []byte) map[string]string {
	groups := map[string]string{}
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		f := strings.SplitN(lines.Text(), ":", 3)
		if len(f) != 3 || !strings.HasPrefix(f[2], "/") {
			continue
		}
		dir := path.Clean(f[2]) // "/.." at the front, of a group outside of the container's, goes away
		switch {
		case f[0] == "0" && f[1] == "":
			if groups[dir] == "" {
				groups[dir] = limitV2
			}
		case strings.Contains(","+f[1]+",", ",memory,"):
			groups[dir] = limitV1
		}
	}
	return groups
}

// noLimit is above every limit that somebody meant: version 1 writes a number near the largest for "none".
const noLimit = 1 << 60

func readLimit(root fs.FS, file string) (int64, bool) {
	data, err := fs.ReadFile(root, file)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64) // "max" is no number
	return n, err == nil && n > 0 && n < noLimit
}
