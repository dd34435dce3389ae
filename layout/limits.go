package layout

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// fatNames is how many blobs a directory of FAT32 takes: 65,536 entries of 32 bytes, and
// a name of 64 characters takes one for each 13 of them and one more.
const fatNames = 65_536/6 - 22

// Limits are what a filesystem does not hold.
type Limits struct {
	// Filesystem is its name, "" for one without limits that count here.
	Filesystem string
	// Blobs is how many blobs there can be, 0 for as many as there is space for. A
	// blob is never too large: parts end at 1 GiB.
	Blobs int
}

// LimitsOf tells the limits of the filesystem that directory dir is or is to be on.
func LimitsOf(dir string) (Limits, error) {
	s, err := statfs(dir)
	if err != nil {
		return Limits{}, fmt.Errorf("filesystem of %s: %w", dir, err)
	}
	return limits(int64(s.Type)), nil
}

// limits knows the types of statfs(2).
func limits(magic int64) Limits {
	if magic == unix.MSDOS_SUPER_MAGIC {
		return Limits{Filesystem: "FAT", Blobs: fatNames}
	}
	return Limits{}
}
