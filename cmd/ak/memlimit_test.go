package main

import (
	"testing"
	"testing/fstest"
)

func TestTheMemoryLimitOfTheContainerIsFound(t *testing.T) {
	const mib = 1 << 20
	for name, c := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"version 2, inside": {map[string]string{
			"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "536870912\n",
		}, 512 * mib},
		"version 2, the lowest of its parents": {map[string]string{
			"proc/self/cgroup": "0::/a.slice/b.scope\n", "sys/fs/cgroup/a.slice/b.scope/memory.max": "max\n", "sys/fs/cgroup/a.slice/memory.max": "1048576\n",
			"sys/fs/cgroup/memory.max": "2097152\n",
		}, mib},
		"version 2, a group outside": {map[string]string{
			"proc/self/cgroup": "0::/../other\n", "sys/fs/cgroup/memory.max": "1048576",
		}, mib},
		"version 1, seen from inside": {map[string]string{
			"proc/self/cgroup":                                  "12:cpu,cpuacct:/docker/x\n7:memory:/docker/x\n0::/docker/x\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":        "268435456\n",
			"sys/fs/cgroup/cpu,cpuacct/memory.limit_in_bytes":   "1\n",
			"sys/fs/cgroup/memory/docker/memory.limit_in_bytes": "9223372036854771712\n",
		}, 256 * mib},
		"version 1, none":       {map[string]string{"proc/self/cgroup": "7:memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, 0},
		"version 2, none":       {map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, 0},
		"no control groups":     {map[string]string{}, 0},
		"lines of another form": {map[string]string{"proc/self/cgroup": "what\n0::relative\n::\n", "sys/fs/cgroup/memory.max": "1048576"}, 0},
		"not a number":          {map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1048576 bytes"}, 0},
		"negative":              {map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "-1"}, 0},
	} {
		root := fstest.MapFS{}
		for path, text := range c.files {
			root[path] = &fstest.MapFile{Data: []byte(text)}
		}
		got, ok := cgroupMemory(root)
		if ok != (c.want > 0) || ok && got != c.want {
			t.Errorf("%s: %d, %t", name, got, ok)
		}
	}
}
