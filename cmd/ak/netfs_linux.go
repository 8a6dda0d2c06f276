package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// networkFS are file systems on which SQLite's locks and shared memory do not hold between machines, by statfs's number.
var networkFS = map[uint32]string{
	0x6969:     "NFS",
	0x517b:     "SMB",
	0xff534d42: "CIFS",
	0xfe534d42: "SMB2",
	0x5346414f: "AFS",
	0x6b414653: "AFS",
	0x73757245: "Coda",
	0x564c:     "NCP",
	0x00c36400: "Ceph",
	0x0bd00bd0: "Lustre",
	0x47504653: "GPFS",
	0x7461636f: "OCFS2",
	0x01161970: "GFS2",
}

// unsureFS are file systems that may be local or not; nobody can tell from here.
var unsureFS = map[uint32]string{
	0x65735546: "FUSE",
	0x01021997: "9p",
}

func diskOf(path string) (disk, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return disk{}, fmt.Errorf("statfs %s: %w", path, err)
	}
	magic := uint32(s.Type)
	d := disk{free: s.Bavail * uint64(s.Bsize)}
	if d.network = networkFS[magic]; d.network == "" {
		d.unsure = unsureFS[magic]
	}
	return d, nil
}

// openFiles is how many files and connections this process may have open.
func openFiles() (uint64, error) {
	var limit unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
	return limit.Cur, err
}
