package host

import (
	"golang.org/x/sys/unix"
)

// Stat is what lstat(2) says of one name.
type Stat struct {
	unix.Stat_t
}

// IsDir reports whether it is a directory.
func (s Stat) IsDir() bool { return s.Mode&unix.S_IFMT == unix.S_IFDIR }

// IsRegular reports whether it is a regular file.
func (s Stat) IsRegular() bool { return s.Mode&unix.S_IFMT == unix.S_IFREG }

// IsSymlink reports whether it is a symbolic link.
func (s Stat) IsSymlink() bool { return s.Mode&unix.S_IFMT == unix.S_IFLNK }

// Perm returns the permission bits with setuid, setgid and sticky: 07777.
func (s Stat) Perm() uint32 { return s.Mode & 0o7777 }

// Inode names the file itself, whatever its names.
type Inode struct{ Dev, Ino uint64 }

// Inode returns the device and inode number.
func (s Stat) Inode() Inode { return Inode{Dev: uint64(s.Dev), Ino: s.Ino} }

// MayHaveHoles reports whether the file takes less room than it has bytes.
func (s Stat) MayHaveHoles() bool { return s.Blocks*512 < s.Size }
