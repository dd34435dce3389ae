package archive

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
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

// hasHole reports whether the filesystem says that f, of which st is known, has
// a hole.
func hasHole(f *host.File, st host.Stat) bool {
	if !st.MayHaveHoles() {
		return false
	}
	from, end, data, err := f.Data(0)
	return err == nil && (!data || from > 0 || end < st.Size)
}

// DataRanges divides file f of the given size into ranges of at most limit
// bytes of data, holes not counted, and returns where each ends, and how much
// data there is. The filesystem's own map of the file decides.
func DataRanges(f *host.File, size, limit int64) (ends []int64, data int64, err error) {
	room := limit
	for off := int64(0); off < size; {
		from, end, found, err := f.Data(off)
		if err != nil {
			return nil, 0, err
		}
		if !found || from >= size {
			break
		}
		end = min(end, size)
		off = from / holeBlock * holeBlock
		data += end - off
		for ; end-off > room; room = limit {
			off += room
			ends = append(ends, off)
		}
		room -= end - off
		off = end
	}
	return append(ends, size), data, nil
}

// extents returns the runs of size bytes of f from begin that are not zero, in
// units of holeBlock and counted from begin. It looks at the content and not
// only at the filesystem's own map, which differs between filesystems, so that
// the same file always becomes the same bytes.
func extents(f *host.File, begin, size int64) ([]extent, error) {
	var all []extent
	buf := make([]byte, 64*holeBlock)
	for off := int64(0); off < size; {
		from, end, data, err := f.Data(begin + off)
		if err != nil {
			return nil, err
		}
		if !data || from >= begin+size {
			return all, nil
		}
		end = min(end-begin, size)
		for off = (from - begin) / holeBlock * holeBlock; off < end; {
			n, err := f.ReadAt(buf[:min(int64(len(buf)), size-off)], begin+off)
			if err != nil && !errors.Is(err, io.EOF) {
				return nil, err
			}
			if n == 0 {
				return all, nil // it has shrunk
			}
			all = addRuns(all, buf[:n], off)
			off += int64(n)
		}
	}
	return all, nil
}

// addRuns adds what is not zero in b, which lies at off, to all.
func addRuns(all []extent, b []byte, off int64) []extent {
	for len(b) > 0 {
		block := b[:min(holeBlock, len(b))]
		if !bytes.Equal(block, zeros[:len(block)]) {
			if last := len(all) - 1; last >= 0 && all[last].off+all[last].len == off {
				all[last].len += int64(len(block))
			} else {
				all = append(all, extent{off, int64(len(block))})
			}
		}
		b = b[len(block):]
		off += int64(len(block))
	}
	return all
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
		"GNU.sparse.name": e.StoredPath(), "GNU.sparse.realsize": strconv.FormatInt(e.Size, 10),
		"mtime": e.MTime.String(), "uname": e.User, "gname": e.Group,
		"uid": strconv.Itoa(e.UID), "gid": strconv.Itoa(e.GID), "size": strconv.FormatInt(stored, 10),
	}
	for k, v := range h.PAXRecords {
		records[k] = v
	}
	pax := paxRecords(records)
	dir, base := path.Split(e.StoredPath())
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
