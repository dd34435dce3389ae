package layout

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Free returns how many bytes an unprivileged writer could still put on the
// filesystem of dir; what is reserved for root does not count. A dir that does
// not exist yet is measured where Create would make it. A filesystem that does not say
// has all there is.
func Free(dir string) (uint64, error) {
	s, err := statfs(dir)
	if err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	if s.Blocks == 0 { // some FUSE filesystems do not say
		return math.MaxInt64, nil
	}
	// statfs(2) counts in fragments; old filesystems leave their size 0 and
	// mean blocks.
	unit := s.Frsize
	if unit <= 0 {
		unit = s.Bsize
	}
	return s.Bavail * uint64(unit), nil
}

// statfs tells of the filesystem of dir, or of the next directory above it that exists.
func statfs(dir string) (s unix.Statfs_t, err error) {
	for dir = filepath.Clean(dir); ; dir = filepath.Dir(dir) {
		err = unix.Statfs(dir, &s)
		if !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			return s, err
		}
	}
}
