package pkgmgr

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"path"

	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/internal/host"
)

// Bits of what may differ in a file (RPMVERIFY_* of rpm's rpmvf.h). A package
// says with the same bits what of its files stays as it is.
const (
	differDigest = 1 << iota
	differSize
	differLink
	differUser
	differGroup
	differTime
	differMode
	differDevice
	differCaps
)

const (
	noDifference = "........."
	timeLetter   = 7 // place of T in it
)

// letters writes differences as rpm -V does.
func letters(bits int64) string {
	out := []byte(noDifference)
	for i, l := range []struct {
		bit    int64
		letter byte
	}{
		{differSize, 'S'},
		{differMode, 'M'},
		{differDigest, '5'},
		{differDevice, 'D'},
		{differLink, 'L'},
		{differUser, 'U'},
		{differGroup, 'G'},
		{differTime, 'T'},
		{differCaps, 'P'},
	} {
		if bits&l.bit != 0 {
			out[i] = l.letter
		}
	}
	return string(out)
}

// comparer compares files with headers. It keeps the last directory open,
// because the files of a package are sorted.
type comparer struct {
	ctx      context.Context
	root     *host.Root
	accounts *host.Accounts
	dir      *host.Dir // nil if dirPath leads nowhere
	dirPath  string
}

func (c *comparer) close() error {
	if c.dir == nil {
		return nil
	}
	return c.dir.Close()
}

// open makes dir the open directory; c.dir is nil if it is not there.
func (c *comparer) open(dir string) error {
	if dir == c.dirPath {
		return nil
	}
	if err := c.close(); err != nil {
		return err
	}
	var err error
	c.dirPath = dir
	if c.dir, err = c.root.OpenDir(dir); isNotThere(err) {
		c.dir = nil
		return nil
	}
	return err
}

// isNotThere reports whether a path leads nowhere: to rpm, a directory that has
// become a file is one that is missing.
func isNotThere(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP)
}

// compare returns what differs of the files in s.
func (c *comparer) compare(s section) ([]Difference, error) {
	files, err := ownedFiles(s)
	if err != nil {
		return nil, err
	}
	var all []Difference
	for _, f := range files {
		if f.state == stateNotInstalled || f.state == stateNetShared {
			continue
		}
		if err := c.ctx.Err(); err != nil {
			return nil, err
		}
		what, err := c.differs(f)
		if err != nil {
			return nil, fmt.Errorf("file %s: %w", f.path, err)
		}
		if what == noDifference || what == missingFile && f.flags&(fileMissingOK|fileGhost) != 0 {
			continue
		}
		all = append(all, Difference{
			Path: f.path, What: what,
			Config: f.flags&fileConfig != 0, Doc: f.flags&fileDoc != 0, Ghost: f.flags&fileGhost != 0,
		})
	}
	return all, nil
}

// differs compares one file, with the exceptions of rpmfilesVerify in rpm's
// lib/verify.c.
func (c *comparer) differs(f ownedFile) (string, error) {
	if err := c.open(path.Dir(f.path)); err != nil {
		return "", err
	}
	if c.dir == nil {
		return missingFile, nil
	}
	name := path.Base(f.path)
	st, err := c.lstat(f, name)
	if isNotThere(err) {
		return missingFile, nil
	}
	if err != nil {
		return "", err
	}
	look := f.toCompare(st)
	found := c.attributes(f, st)
	if look&differDigest != 0 {
		same, err := c.sameDigest(f, name)
		if err != nil {
			return "", err
		}
		if !same {
			found |= differDigest
		}
	}
	if look&differLink != 0 {
		target, err := c.dir.Readlink(name)
		if err != nil {
			return "", err
		}
		if target != f.link {
			found |= differLink
		}
	}
	if look&(differMode|differCaps) != 0 {
		more, err := c.xattrs(f, name)
		if err != nil {
			return "", err
		}
		found |= more
	}
	return letters(found & look), nil
}

// lstat returns what lies at f's path. A symlink to a directory in the place of
// a directory is how administrators move one: it counts as what it leads to,
// unless somebody else made it.
func (c *comparer) lstat(f ownedFile, name string) (host.Stat, error) {
	if name == "/" {
		return c.dir.Self()
	}
	st, err := c.dir.Lstat(name)
	if err != nil || !st.IsSymlink() || f.mode&modeType != modeDir {
		return st, err
	}
	target, err := c.root.Stat(f.path)
	if isNotThere(err) {
		return st, nil
	}
	if err == nil && target.IsDir() && (st.Uid == 0 || st.Uid == target.Uid) {
		return target, nil
	}
	return st, err
}

// toCompare returns the bits of what can be compared of a file that is st.
func (f ownedFile) toCompare(st host.Stat) int64 {
	look := f.verify
	switch f.state {
	case stateReplaced:
		return 0
	case stateWrongColor:
		look &^= differDigest | differSize | differTime | differDevice
	}
	if st.IsSymlink() {
		look &^= differMode
	} else {
		look &^= differLink
	}
	if !st.IsRegular() {
		look &^= differDigest | differSize | differTime | differCaps
	}
	if f.flags&fileGhost != 0 {
		look &^= differDigest | differSize | differTime | differLink
	}
	return look
}

// attributes compares what lstat says.
func (c *comparer) attributes(f ownedFile, st host.Stat) (found int64) {
	mode, have := f.mode, int64(st.Mode)
	uid, ok := c.uid(f.user)
	if !ok {
		mode &^= unix.S_ISUID // as rpm installs it: root's, without the bit
	}
	gid, ok := c.gid(f.group)
	if !ok {
		mode &^= unix.S_ISGID
	}
	if f.flags&fileGhost != 0 {
		mode, have = mode&^modeType, have&^modeType
	}
	isDevice := func(mode int64) bool { t := mode & modeType; return t == unix.S_IFCHR || t == unix.S_IFBLK }
	typ, haveType := f.mode&modeType, int64(st.Mode)&modeType
	for bit, differs := range map[int64]bool{
		differSize: st.Size != f.size, differTime: st.Mtim.Sec != f.time, differMode: mode != have,
		differUser: uid != int(st.Uid), differGroup: gid != int(st.Gid),
		differDevice: (isDevice(typ) || isDevice(haveType)) && (typ != haveType || int64(st.Rdev&0xffff) != f.device&0xffff),
	} {
		if differs {
			found |= bit
		}
	}
	return found
}

// uid is the number of a user, root's where there is none.
func (c *comparer) uid(name string) (id int, ok bool) {
	u, ok := c.accounts.LookupUser(name)
	return u.UID, ok || name == "root"
}

func (c *comparer) gid(name string) (id int, ok bool) {
	id, ok = c.accounts.LookupGroup(name)
	return id, ok || name == "root"
}

// xattrs looks for an access control list, which no package can bring, and for
// capabilities.
func (c *comparer) xattrs(f ownedFile, name string) (found int64, err error) {
	if name == "/" {
		return 0, nil
	}
	attrs, err := c.dir.Xattrs(name)
	if err != nil {
		return 0, err
	}
	if _, ok := attrs["system.posix_acl_access"]; ok {
		found |= differMode
	}
	if _, ok := attrs["security.capability"]; ok != (f.caps != "") {
		found |= differCaps
	}
	return found, nil
}

// sameDigest reads a regular file. Without an algorithm the digest is MD5.
func (c *comparer) sameDigest(f ownedFile, name string) (bool, error) {
	var sum hash.Hash
	if f.algorithm <= 1 {
		sum = md5.New()
	} else if algorithm, ok := algorithms[f.algorithm]; ok {
		sum = algorithm()
	} else {
		return false, fmt.Errorf("%w: digest of algorithm %d", errDamaged, f.algorithm)
	}
	file, _, err := c.dir.OpenFile(name)
	if err != nil {
		return false, err
	}
	_, err = io.Copy(sum, &cancelReader{c.ctx, file})
	if err = errors.Join(err, file.Close()); err != nil {
		return false, err
	}
	return hex.EncodeToString(sum.Sum(nil)) == f.digest, nil
}
