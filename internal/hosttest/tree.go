package hosttest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Node is everything about one entry of a tree that a restore must bring back.
type Node struct {
	// Type is file, dir, symlink, fifo, socket, char or block.
	Type     string
	Mode     uint32 // permission bits with setuid, setgid and sticky
	UID, GID int
	// User and Group are the ids' names in the tree's own etc/passwd and
	// etc/group, the numbers as text where they have none.
	User, Group string
	Sec, Nsec   int64 // mtime
	Size        int64 // of a file
	Digest      string
	Link        string // a symlink's target
	// HardlinkOf is the first path, in sorted order, with the same inode,
	// where this is not it.
	HardlinkOf string
	Xattrs     map[string]string
	Device     string // "MAJOR:MINOR"
	// Sparse says that the file has a hole before its end.
	Sparse bool
}

// Tree reads the tree below dir, or only what is at and below the prefixes,
// which are paths relative to dir. The keys are paths relative to dir; dir itself
// is ".". It reads every byte.
func Tree(dir string, prefixes ...string) (map[string]Node, error) {
	ids, err := readAccounts(dir)
	if err != nil {
		return nil, err
	}
	users, groups := names(ids.users), names(ids.groups)
	if len(prefixes) == 0 {
		prefixes = []string{"."}
	}
	all := map[string]Node{}
	inodes := map[[2]uint64][]string{}
	for _, p := range prefixes {
		start := filepath.Join(dir, p)
		err := filepath.WalkDir(start, func(file string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(dir, file)
			if err != nil {
				return err
			}
			n, inode, err := readNode(file)
			if err != nil {
				return fmt.Errorf("tree %q: %w", rel, err)
			}
			n.User, n.Group = nameOr(users, n.UID), nameOr(groups, n.GID)
			if _, seen := all[rel]; n.Type != "dir" && !seen {
				inodes[inode] = append(inodes[inode], rel)
			}
			all[rel] = n
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	for _, paths := range inodes {
		slices.Sort(paths)
		for _, p := range paths[1:] {
			n := all[p]
			n.HardlinkOf = paths[0]
			all[p] = n
		}
	}
	return all, nil
}

func nameOr(by map[int]string, id int) string {
	if name, ok := by[id]; ok {
		return name
	}
	return fmt.Sprint(id)
}

// readNode reads one entry and returns its device and inode number with it.
func readNode(file string) (Node, [2]uint64, error) {
	var st unix.Stat_t
	if err := unix.Lstat(file, &st); err != nil {
		return Node{}, [2]uint64{}, err
	}
	n := Node{Mode: st.Mode & 0o7777, UID: int(st.Uid), GID: int(st.Gid), Sec: int64(st.Mtim.Sec), Nsec: int64(st.Mtim.Nsec)}
	var err error
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		n.Type, n.Size = "file", st.Size
		n.Digest, n.Sparse, err = readContent(file, st.Size)
	case unix.S_IFDIR:
		n.Type = "dir"
	case unix.S_IFLNK:
		n.Type = "symlink"
		n.Link, err = os.Readlink(file)
	case unix.S_IFIFO:
		n.Type = "fifo"
	case unix.S_IFSOCK:
		n.Type = "socket"
	case unix.S_IFCHR, unix.S_IFBLK:
		n.Type = "char"
		if st.Mode&unix.S_IFMT == unix.S_IFBLK {
			n.Type = "block"
		}
		n.Device = fmt.Sprintf("%d:%d", unix.Major(uint64(st.Rdev)), unix.Minor(uint64(st.Rdev)))
	}
	if err == nil {
		n.Xattrs, err = readXattrs(file)
	}
	return n, [2]uint64{uint64(st.Dev), st.Ino}, err
}

// readContent returns the digest of a file's content and whether it has a hole
// before its end. The access time is left to change: no test looks at it.
func readContent(file string, size int64) (digest string, sparse bool, err error) {
	f, err := os.Open(file)
	if err != nil {
		return "", false, err
	}
	defer func() { _ = f.Close() }() // read only
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", false, err
	}
	if size > 0 {
		hole, err := unix.Seek(int(f.Fd()), 0, unix.SEEK_HOLE)
		sparse = err == nil && hole < size
	}
	return hex.EncodeToString(h.Sum(nil)), sparse, nil
}

// readXattrs returns all extended attributes who runs it may see, but SELinux's
// label, which belongs to the machine.
func readXattrs(file string) (map[string]string, error) {
	size, err := unix.Llistxattr(file, nil)
	if err == unix.ENOTSUP || err == nil && size == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	list := make([]byte, size)
	if size, err = unix.Llistxattr(file, list); err != nil {
		return nil, err
	}
	var set map[string]string
	for name := range strings.SplitSeq(strings.TrimRight(string(list[:size]), "\x00"), "\x00") {
		if name == "security.selinux" {
			continue
		}
		n, err := unix.Lgetxattr(file, name, nil)
		if err != nil {
			return nil, fmt.Errorf("xattr %q: %w", name, err)
		}
		value := make([]byte, n)
		if n, err = unix.Lgetxattr(file, name, value); err != nil {
			return nil, fmt.Errorf("xattr %q: %w", name, err)
		}
		if set == nil {
			set = map[string]string{}
		}
		set[name] = string(value[:n])
	}
	return set, nil
}
