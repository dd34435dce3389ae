package layers

import (
	"cmp"
	"encoding/binary"
	"path"
	"strings"

	"github.com/zeebo/blake3"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
)

// item is one path the walk found and decided to take. There may be millions:
// it shares its directory's path with its neighbours, and of all the system said
// of it keeps a fingerprint.
type item struct {
	dir  *folder
	name string
	size int64 // bytes of data
	// stamp changes when anything but the content changes, and with the content,
	// because the change time does.
	stamp uint64
	// link numbers the files with several names, from 1; 0 for all others.
	link uint32
	// file says that it is a regular file. fresh, that it was changed so shortly
	// before it was looked at that its times cannot tell another change.
	file, fresh bool
}

// folder is a directory that holds items. Its path has a leading slash and no
// trailing one: that of the root is empty.
type folder struct{ path string }

func folderOf(p string) *folder { return &folder{path: strings.TrimSuffix(path.Dir(p), "/")} }

// path is the item as the host names it, with leading slash.
func (it item) path() string { return it.dir.path + "/" + it.name }

// rel is the item as an entry has it.
func (it item) rel() string { return rel(it.path()) }

// stored is about what the item takes in a tar stream.
func (it item) stored() int64 { return it.size + 1024 }

// compare orders items by the bytes of their paths.
func (it item) compare(other item) int {
	if it.dir == other.dir {
		return strings.Compare(it.name, other.name)
	}
	return comparePaths(it.dir.path, it.name, other.dir.path, other.name)
}

// comparePaths compares ad/an with bd/bn without joining them.
func comparePaths(ad, an, bd, bn string) int {
	if len(ad) > len(bd) {
		return -comparePaths(bd, bn, ad, an)
	}
	if c := strings.Compare(ad, bd[:len(ad)]); c != 0 {
		return c
	}
	rest := bd[len(ad):]
	switch {
	case rest == "":
		return strings.Compare(an, bn)
	case rest[0] != '/':
		return cmp.Compare('/', rest[0])
	}
	rest = rest[1:]
	n := min(len(an), len(rest))
	if c := strings.Compare(an[:n], rest[:n]); c != 0 {
		return c
	}
	if len(an) <= len(rest) {
		return -1
	}
	return cmp.Compare(an[n], '/')
}

// fingerprint sums up st and the names of its owners. A file that has the same
// one later has not been touched: every change sets the change time, which
// nobody can put back.
func fingerprint(st host.Stat, names *host.Accounts) uint64 {
	b := make([]byte, 0, 128)
	for _, n := range []uint64{
		uint64(st.Mode), uint64(st.Uid), uint64(st.Gid), uint64(st.Size), st.Ino, st.Rdev,
		uint64(st.Mtim.Sec), uint64(st.Mtim.Nsec), uint64(st.Ctim.Sec), uint64(st.Ctim.Nsec),
	} {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	b = append(b, names.User(int(st.Uid))...)
	b = append(b, 0)
	b = append(b, names.Group(int(st.Gid))...)
	sum := blake3.Sum256(b)
	return binary.LittleEndian.Uint64(sum[:])
}

// take adds what lies at name in dir, of which data bytes are no holes, to kind k.
func (s *scanner) take(dir *folder, name string, st host.Stat, data int64, k artifact.Kind) {
	it := item{dir: dir, name: name, size: data, file: st.IsRegular(), stamp: fingerprint(st, s.c.accounts)}
	it.fresh = !s.settled(st)
	if it.file && st.Nlink > 1 {
		s.linked = append(s.linked, st.Inode())
		it.link = uint32(len(s.linked))
	}
	s.items[k] = append(s.items[k], it)
}

// inode names the file of it, which has several names; zero for any other.
func (s *scanner) inode(it item) host.Inode {
	if it.link == 0 {
		return host.Inode{}
	}
	return s.linked[it.link-1]
}

// settled reports whether the times of a file can be believed: it was left
// alone for a while before it was looked at. The clock of the filesystem is
// coarse, and a page that is mapped and dirty takes writes without a new time
// until it is written back.
func (s *scanner) settled(st host.Stat) bool {
	return st.Ctim.Sec < s.c.o.Now.Add(-s.c.o.Settle).Unix()
}
