package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
)

// Owner is who owns a restored entry.
type Owner struct {
	UID, GID int
	// AsIs leaves the owner to the filesystem: for runs that are not root.
	AsIs bool
}

// Maker makes entries on a host. The zero Maker is ready; what it holds is a
// buffer for the next file. It is not safe for concurrent use.
type Maker struct {
	// Key is that of the snapshot, if files of it are sealed.
	Key artifact.DigestKey
	buf []byte
	sum *artifact.Digester
}

// Create makes e, which is no hard link and no piece, as name in d with content
// r and its attributes, owned by o. The name must not exist. A file is checked
// against e's size and digest; it is not synced. lost names the extended
// attributes the filesystem did not take.
func (m *Maker) Create(d *host.Dir, name string, e artifact.Entry, o Owner, r io.Reader) (lost []string, err error) {
	switch e.Type {
	case artifact.TypeFile:
		return m.createFile(d, name, e, o, r)
	case artifact.TypeDir:
		err = d.Mkdir(name, 0o700)
	case artifact.TypeSymlink:
		err = d.Symlink(e.Link, name)
	case artifact.TypeFIFO:
		err = d.Mknod(name, unix.S_IFIFO, 0, 0)
	case artifact.TypeChar:
		err = d.Mknod(name, unix.S_IFCHR, e.Major, e.Minor)
	case artifact.TypeBlock:
		err = d.Mknod(name, unix.S_IFBLK, e.Major, e.Minor)
	case artifact.TypeHardlink:
		err = fmt.Errorf("entry %q: a hard link has no content of its own", e.Path)
	default:
		err = fmt.Errorf("entry %q: type %q", e.Path, e.Type)
	}
	if err != nil {
		return nil, err
	}
	return SetAttributes(d, name, e, o)
}

// createFile sets the attributes while the file is open: by name each of them
// is a lookup more.
func (m *Maker) createFile(d *host.Dir, name string, e artifact.Entry, o Owner, r io.Reader) (lost []string, err error) {
	f, err := d.CreateFile(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := m.fill(f, e, r); err != nil {
		return nil, err
	}
	if e.Sparse {
		if err := f.Truncate(e.Size); err != nil {
			return nil, err
		}
	}
	return setAttributes(opened{f, named{d, name}}, e, o)
}

// MakeWhole makes name in d, the file piece e is of: a hole of its full size
// with mode 0600, for WritePiece to fill. The name must not exist.
func MakeWhole(d *host.Dir, name string, e artifact.Entry) (err error) {
	f, err := d.CreateFile(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return f.Truncate(e.FileSize())
}

// WritePiece writes piece e with content r where it belongs in name, which
// MakeWhole made, and checks it against e's size and digest. Several may be
// written side by side. Attributes are left to SetAttributes.
func (m *Maker) WritePiece(d *host.Dir, name string, e artifact.Entry, r io.Reader) (err error) {
	f, err := d.ReopenFile(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return m.fill(f, e, r)
}

// copyBuffer is large enough for most files to be one read and one write.
const copyBuffer = 256 << 10

// fill writes content r of e into f, from the offset of its piece.
func (m *Maker) fill(f *host.File, e artifact.Entry, r io.Reader) error {
	if m.buf == nil {
		m.buf, m.sum = make([]byte, copyBuffer), artifact.NewDigester()
	}
	m.sum.Reset()
	var w io.Writer = io.NewOffsetWriter(f, e.Piece.Offset)
	if e.Sparse {
		w = &holeWriter{f: f, off: e.Piece.Offset}
	}
	// The readers of a layer know no io.WriterTo, and the writer must not show
	// io.ReaderFrom, or the buffer goes unused.
	n, err := io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(w, m.sum)}, struct{ io.Reader }{r}, m.buf)
	if err != nil {
		return err
	}
	if n != e.Size || (e.Digest != "" && !m.Key.Matches(e, m.sum.Sum())) {
		return fmt.Errorf("entry %q: %d bytes with digest %s, the catalog says %d with %s", e.StoredPath(), n, m.sum.Sum(), e.Size, e.Digest)
	}
	return nil
}

// SetAttributes sets owner, extended attributes, mode and time of name to those
// of e. Extended attributes that e does not have are removed, but for labels,
// which are the host's own. lost names those the filesystem did not take.
func SetAttributes(d *host.Dir, name string, e artifact.Entry, o Owner) (lost []string, err error) {
	return setAttributes(named{d, name}, e, o)
}

// attributes is what has attributes: a name, or a file that is open.
type attributes interface {
	Chown(uid, gid int) error
	XattrNames() ([]string, error)
	SetXattr(attr, value string) error
	RemoveXattr(attr string) error
	Chmod(perm uint32) error
	SetMTime(t artifact.Time) error
}

// setAttributes is SetAttributes. The order matters: chown clears setuid and
// file capabilities, and every other call changes the time.
func setAttributes(a attributes, e artifact.Entry, o Owner) (lost []string, err error) {
	if !o.AsIs {
		if err := a.Chown(o.UID, o.GID); err != nil {
			return nil, err
		}
	}
	if err := dropXattrs(a, e); err != nil {
		return nil, err
	}
	for _, attr := range slices.Sorted(maps.Keys(e.Xattrs)) {
		err := a.SetXattr(attr, e.Xattrs[attr])
		switch {
		case errors.Is(err, unix.ENOTSUP), o.AsIs && errors.Is(err, unix.EPERM):
			lost = append(lost, attr)
		case err != nil:
			return lost, err
		}
	}
	if e.Type != artifact.TypeSymlink {
		if err := a.Chmod(e.Mode); err != nil {
			return lost, err
		}
	}
	return lost, a.SetMTime(e.MTime)
}

// dropXattrs removes what a has and e has not: an ACL a directory passed on,
// say. Security attributes stay: they are labels of the host's policy.
func dropXattrs(a attributes, e artifact.Entry) error {
	have, err := a.XattrNames()
	if err != nil {
		return err
	}
	for _, attr := range have {
		if _, ok := e.Xattrs[attr]; ok || strings.HasPrefix(attr, "security.") {
			continue
		}
		if err := a.RemoveXattr(attr); err != nil {
			return err
		}
	}
	return nil
}

// named is a name in a directory, with attributes.
type named struct {
	d    *host.Dir
	name string
}

func (n named) Chown(uid, gid int) error          { return n.d.Chown(n.name, uid, gid) }
func (n named) SetXattr(attr, value string) error { return n.d.SetXattr(n.name, attr, value) }
func (n named) RemoveXattr(attr string) error     { return n.d.RemoveXattr(n.name, attr) }
func (n named) Chmod(perm uint32) error           { return n.d.Chmod(n.name, perm) }
func (n named) SetMTime(t artifact.Time) error    { return n.d.SetMTime(n.name, t) }

func (n named) XattrNames() ([]string, error) {
	have, err := n.d.Xattrs(n.name)
	return slices.Collect(maps.Keys(have)), err
}

// opened is a file that is open under a name. Its time is set by the name:
// before Linux 5.8 no call the libraries offer takes the file alone.
type opened struct {
	*host.File
	at named
}

func (o opened) SetMTime(t artifact.Time) error { return o.at.SetMTime(t) }

// holeWriter leaves holes where whole blocks are zero. Blocks are those of the
// file, so it gathers what comes in pieces.
type holeWriter struct {
	f   *host.File
	off int64
	buf []byte
}

func (h *holeWriter) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		if len(h.buf) == 0 && len(p) >= holeBlock && bytes.Equal(p[:holeBlock], zeros[:]) {
			h.off += holeBlock
			p = p[holeBlock:]
			continue
		}
		n := min(holeBlock-len(h.buf), len(p))
		h.buf = append(h.buf, p[:n]...)
		p = p[n:]
		if len(h.buf) == holeBlock {
			if err := h.flush(); err != nil {
				return 0, err
			}
		}
	}
	// A last short block is written at once: there is no Close to do it in.
	if !bytes.Equal(h.buf, zeros[:len(h.buf)]) {
		if _, err := h.f.WriteAt(h.buf, h.off); err != nil {
			return 0, err
		}
	}
	return total, nil
}

func (h *holeWriter) flush() error {
	if !bytes.Equal(h.buf, zeros[:]) {
		if _, err := h.f.WriteAt(h.buf, h.off); err != nil {
			return err
		}
	}
	h.off += holeBlock
	h.buf = h.buf[:0]
	return nil
}
