package layout

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
)

// Uncache makes the system forget blobs that it keeps in memory, so that whoever reads
// them next reads the medium. What the medium itself keeps in a memory of its own is out
// of reach.
func (l *Layout) Uncache(blobs []ocispec.Descriptor) error {
	for _, d := range blobs {
		s, err := l.storeOf(d)
		if err != nil {
			return err
		}
		if err := s.tree.uncache(blobName(d.Digest)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return s.at(err) // a blob that is not there is missed by who reads it
		}
	}
	return nil
}

// Removable reports whether directory dir lies on a medium that can be pulled out: a
// stick, a card, a disk at USB. If that cannot be told it is none.
func Removable(dir string) bool {
	var st unix.Stat_t
	if unix.Stat(dir, &st) != nil {
		return false
	}
	return removable("/sys", st.Dev)
}

// removable looks a device up below sys, as sysfs has it (Documentation/ABI,
// sysfs-block: removable): of a partition its disk says it.
func removable(sys string, dev uint64) bool {
	at, err := filepath.EvalSymlinks(filepath.Join(sys, "dev/block", strconv.Itoa(int(unix.Major(dev)))+":"+strconv.Itoa(int(unix.Minor(dev)))))
	if err != nil {
		return false
	}
	for _, disk := range []string{at, filepath.Dir(at)} {
		if b, err := os.ReadFile(filepath.Join(disk, "removable")); err == nil {
			return strings.TrimSpace(string(b)) == "1" || strings.Contains(at, "/usb")
		}
	}
	return false
}
