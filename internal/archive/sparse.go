package archive

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/artifact"
)

// A sparse file is stored in GNU's PAX sparse format 1.0 (GNU tar manual,
// "Storing Sparse Files", "PAX Format, Version 1.0"), which GNU tar, bsdtar and
// archive/tar read. archive/tar does not write it, so its two headers are made
// here.

const (
	blockSize  = 512     // of a tar stream
	holeBlock  = 4 << 10 // the unit of holes: what every Linux filesystem can punch
	maxExtents = 1 << 16 // a file in more pieces is stored whole
)

// extent is a run of a file that is not a hole.
type extent struct{ off, len int64 }

var zeros [holeBlock]byte

// hasHole reports whether the filesystem says that f has a hole.
func hasHole(f *os.File, size int64) bool {
	if size == 0 {
		return false
	}
	hole, err := unix.Seek(int(f.Fd()), 0, unix.SEEK_HOLE)
	return err == nil && hole < size
}

// extents returns the runs of f that are not zero, in units of holeBlock. It
// looks at the content and not only at the filesystem's own map, which differs
// between filesystems, so that the same file always becomes the same bytes.
func extents(f *os.File, size int64) ([]extent, error) {
	var all []extent
	buf := make([]byte, holeBlock)
	for off := int64(0); off < size; {
		data, err := unix.Seek(int(f.Fd()), off, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return all, nil
		}
		if err != nil {
			return nil, &os.PathError{Op: "seek", Path: f.Name(), Err: err}
		}
		off = data / holeBlock * holeBlock
		end, err := unix.Seek(int(f.Fd()), data, unix.SEEK_HOLE)
		if err != nil {
			return nil, &os.PathError{Op: "seek", Path: f.Name(), Err: err}
		}
		for ; off < min(end, size); off += holeBlock {
			n, err := f.ReadAt(buf[:min(holeBlock, size-off)], off)
			if err != nil && !errors.Is(err, io.EOF) {
				return nil, err
			}
			if bytes.Equal(buf[:n], zeros[:n]) {
				continue
			}
			if last := len(all) - 1; last >= 0 && all[last].off+all[last].len == off {
				all[last].len += int64(n)
			} else {
				all = append(all, extent{off, int64(n)})
			}
		}
	}
	return all, nil
}

// sparseMap is the block-padded map that stands before the data. A hole at the
// end is closed with an empty extent: GNU tar takes the last one's end for the
// size of the file.
func sparseMap(all []extent, size int64) []byte {
	var b bytes.Buffer
	if last := len(all) - 1; last < 0 || all[last].off+all[last].len < size {
		all = append(slices.Clone(all), extent{off: size})
	}
	fmt.Fprintf(&b, "%d\n", len(all))
	for _, x := range all {
		fmt.Fprintf(&b, "%d\n%d\n", x.off, x.len)
	}
	b.Write(make([]byte, padding(int64(b.Len()))))
	return b.Bytes()
}

func padding(n int64) int64 { return -n & (blockSize - 1) }

// writeSparse writes e, whose content is r at the given extents and zero
// elsewhere, to out. The stream stands at a block boundary before and after.
func writeSparse(out io.Writer, e artifact.Entry, all []extent, r io.ReaderAt) error {
	h, err := e.Header()
	if err != nil {
		return err
	}
	m := sparseMap(all, e.Size)
	stored := int64(len(m))
	for _, x := range all {
		stored += x.len
	}
	records := map[string]string{
		"GNU.sparse.major": "1", "GNU.sparse.minor": "0",
		"GNU.sparse.name": e.Path, "GNU.sparse.realsize": strconv.FormatInt(e.Size, 10),
		"mtime": e.MTime.String(), "uname": e.User, "gname": e.Group,
		"uid": strconv.Itoa(e.UID), "gid": strconv.Itoa(e.GID), "size": strconv.FormatInt(stored, 10),
	}
	for k, v := range h.PAXRecords {
		records[k] = v
	}
	pax := paxRecords(records)
	dir, base := path.Split(e.Path)
	parts := [][]byte{
		ustar(path.Join(dir, "PaxHeaders.0", base), tar.TypeXHeader, 0o644, int64(len(pax))),
		pax, make([]byte, padding(int64(len(pax)))),
		ustar(path.Join(dir, "GNUSparseFile.0", base), tar.TypeReg, int64(e.Mode), stored),
		m,
	}
	for _, p := range parts {
		if _, err := out.Write(p); err != nil {
			return err
		}
	}
	for _, x := range all {
		if _, err := io.Copy(out, io.NewSectionReader(r, x.off, x.len)); err != nil {
			return err
		}
	}
	_, err = out.Write(make([]byte, padding(stored)))
	return err
}
