package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
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

// Create makes e, which is no hard link, as name in d with content r, without
// its attributes: mode 0600 (0700 for a directory), owned by whoever runs this.
// The name must not exist. A file is checked against e's size and digest; it
// is not synced.
func Create(d *host.Dir, name string, e artifact.Entry, r io.Reader) error {
	switch e.Type {
	case artifact.TypeFile:
		return createFile(d, name, e, r)
	case artifact.TypeDir:
		return d.Mkdir(name, 0o700)
	case artifact.TypeSymlink:
		return d.Symlink(e.Link, name)
	case artifact.TypeFIFO:
		return d.Mknod(name, unix.S_IFIFO, 0, 0)
	case artifact.TypeChar:
		return d.Mknod(name, unix.S_IFCHR, e.Major, e.Minor)
	case artifact.TypeBlock:
		return d.Mknod(name, unix.S_IFBLK, e.Major, e.Minor)
	case artifact.TypeHardlink:
		return fmt.Errorf("entry %q: a hard link has no content of its own", e.Path)
	default:
		return fmt.Errorf("entry %q: type %q", e.Path, e.Type)
	}
}

// SetAttributes sets owner, extended attributes, mode and time of name to those
// of e. The order matters: chown clears setuid and file capabilities, and
// every other call changes the time. Extended attributes that e does not have
// are removed, but for labels, which are the host's own. lost names those the
// filesystem did not take.
func SetAttributes(d *host.Dir, name string, e artifact.Entry, o Owner) (lost []string, err error) {
	if !o.AsIs {
		if err := d.Chown(name, o.UID, o.GID); err != nil {
			return nil, err
		}
	}
	if err := dropXattrs(d, name, e); err != nil {
		return nil, err
	}
	for _, attr := range slices.Sorted(maps.Keys(e.Xattrs)) {
		err := d.SetXattr(name, attr, e.Xattrs[attr])
		switch {
		case errors.Is(err, unix.ENOTSUP), o.AsIs && errors.Is(err, unix.EPERM):
			lost = append(lost, attr)
		case err != nil:
			return lost, err
		}
	}
	if e.Type != artifact.TypeSymlink {
		if err := d.Chmod(name, e.Mode); err != nil {
			return lost, err
		}
	}
	return lost, d.SetMTime(name, e.MTime)
}

// dropXattrs removes what name has and e has not: an ACL a directory passed on,
// say. Security attributes stay: they are labels of the host's policy.
func dropXattrs(d *host.Dir, name string, e artifact.Entry) error {
	have, err := d.Xattrs(name)
	if err != nil {
		return err
	}
	for attr := range have {
		if _, ok := e.Xattrs[attr]; ok || strings.HasPrefix(attr, "security.") {
			continue
		}
		if err := d.RemoveXattr(name, attr); err != nil {
			return err
		}
	}
	return nil
}

func createFile(d *host.Dir, name string, e artifact.Entry, r io.Reader) (err error) {
	f, err := d.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var w io.Writer = f
	if e.Sparse {
		w = &holeWriter{f: f}
	}
	sum := artifact.NewDigester()
	n, err := io.Copy(io.MultiWriter(w, sum), r)
	if err != nil {
		return err
	}
	if n != e.Size || (e.Digest != "" && sum.Sum() != e.Digest) {
		return fmt.Errorf("entry %q: %d bytes with digest %s, the catalog says %d with %s", e.Path, n, sum.Sum(), e.Size, e.Digest)
	}
	if e.Sparse {
		return f.Truncate(e.Size)
	}
	return nil
}

// holeWriter leaves holes where whole blocks are zero. Blocks are those of the
// file, so it gathers what comes in pieces.
type holeWriter struct {
	f   *os.File
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
