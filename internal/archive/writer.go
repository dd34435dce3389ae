package archive

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
)

// Writer writes entries as one tar stream: one layer.
type Writer struct {
	out io.Writer
	tar *tar.Writer
	buf []byte
}

// NewWriter starts a tar stream in w. Close ends it; w stays open.
func NewWriter(w io.Writer) *Writer {
	return &Writer{out: w, tar: tar.NewWriter(w), buf: make([]byte, 256<<10)}
}

// Add writes e with content r, which is read to its end for a file and ignored
// for anything else, and returns e with its digest. Content that is shorter or
// longer than e.Size is an error.
func (w *Writer) Add(e artifact.Entry, r io.Reader) (artifact.Entry, error) {
	h, err := e.Header()
	if err != nil {
		return e, err
	}
	if err := e.Validate(); err != nil {
		return e, err
	}
	if err := w.tar.WriteHeader(h); err != nil {
		return e, err
	}
	if e.Type != artifact.TypeFile {
		return e, nil
	}
	d := artifact.NewDigester()
	// The tar writer must not see io.ReaderFrom, or the buffer goes unused.
	n, err := io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(w.tar, d)}, struct{ io.Reader }{r}, w.buf)
	if err == nil && n != e.Size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return e, err
	}
	e.Digest = d.Sum()
	return e, nil
}

// smallFile is how much of a file is read into memory before its header is
// written, so that one that changes meanwhile can be read again.
const smallFile = 1 << 20

// readAgain is how often a small file that changes while it is read is read.
const readAgain = 3

// AddFile writes regular file name in d, which Stat described as e and st, and
// returns e as it was written. changed says that the file was another before
// and after every attempt to read it: a small one has been read several times,
// and stands there as it was in the last; of a large one the size it had at
// first stands there, cut or filled with zeros.
func (w *Writer) AddFile(d *host.Dir, name string, e artifact.Entry, st host.Stat) (_ artifact.Entry, changed bool, err error) {
	f, err := d.Open(name)
	if err != nil {
		return e, false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if e.Size > smallFile {
		return w.addLarge(f, d, name, e, st)
	}
	var content []byte
	for range readAgain {
		if content, err = io.ReadAll(io.NewSectionReader(f, 0, 64*smallFile)); err != nil {
			return e, false, err
		}
		before := st
		if changed, st, err = changedSince(d, name, before); err != nil {
			return e, false, err
		}
		e.Size = int64(len(content))
		e.MTime = artifact.Time{Sec: st.Mtim.Sec, Nsec: st.Mtim.Nsec}
		if !changed && e.Size == st.Size {
			break
		}
		changed = true
	}
	if hasHole(f, e.Size) && !changed {
		e, err = w.addSparse(f, e)
		return e, false, err
	}
	e, err = w.Add(e, bytes.NewReader(content))
	return e, changed, err
}

// changedSince reports whether name is not the file, or not in the state, that
// before describes, and what it is now.
func changedSince(d *host.Dir, name string, before host.Stat) (bool, host.Stat, error) {
	now, err := d.Lstat(name)
	if err != nil {
		return false, now, err
	}
	same := now.Inode() == before.Inode() && now.Size == before.Size && now.Mtim == before.Mtim && now.Ctim == before.Ctim
	return !same, now, nil
}

func (w *Writer) addLarge(f *os.File, d *host.Dir, name string, e artifact.Entry, st host.Stat) (_ artifact.Entry, changed bool, err error) {
	if hasHole(f, e.Size) {
		e, err = w.addSparse(f, e)
	} else {
		// By offset: looking for holes has moved the file's own.
		e, err = w.Add(e, io.NewSectionReader(filled{f, e.Size}, 0, e.Size))
	}
	if err != nil {
		return e, false, err
	}
	changed, _, err = changedSince(d, name, st)
	return e, changed, err
}

func (w *Writer) addSparse(f *os.File, e artifact.Entry) (artifact.Entry, error) {
	all, err := extents(f, e.Size)
	if err != nil {
		return e, err
	}
	whole := len(all) == 1 && all[0] == extent{0, e.Size}
	content := filled{f, e.Size}
	if whole || len(all) > maxExtents {
		return w.Add(e, io.NewSectionReader(content, 0, e.Size))
	}
	e.Sparse = true
	if err := e.Validate(); err != nil {
		return e, err
	}
	if err := w.tar.Flush(); err != nil {
		return e, err
	}
	if err := writeSparse(w.out, e, all, content); err != nil {
		return e, err
	}
	e.Digest, err = digestExtents(all, content, e.Size)
	return e, err
}

// filled reads size bytes of a file, zeros where it has shrunk.
type filled struct {
	f    io.ReaderAt
	size int64
}

func (r filled) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.f.ReadAt(p, off)
	if errors.Is(err, io.EOF) && off+int64(len(p)) <= r.size {
		clear(p[n:])
		return len(p), nil
	}
	return n, err
}

// digestExtents is the digest of a file of the given size that is zero outside
// the extents.
func digestExtents(all []extent, r io.ReaderAt, size int64) (string, error) {
	d := artifact.NewDigester()
	at := int64(0)
	for _, x := range append(all, extent{off: size}) {
		for at < x.off {
			n := min(x.off-at, int64(len(zeros)))
			_, _ = d.Write(zeros[:n])
			at += n
		}
		if _, err := io.Copy(d, io.NewSectionReader(r, x.off, x.len)); err != nil {
			return "", err
		}
		at += x.len
	}
	return d.Sum(), nil
}

// Close ends the stream with the two zero blocks a tar reader expects.
func (w *Writer) Close() error { return w.tar.Close() }
