package archive

import (
	"archive/tar"
	"errors"
	"io"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
)

// Writer writes entries as one tar stream: one layer.
type Writer struct {
	out     io.Writer
	tar     *tar.Writer
	buf     []byte
	content []byte // of the last small file
}

// NewWriter starts a tar stream in w. Close ends it; w stays open.
func NewWriter(w io.Writer) *Writer {
	return &Writer{out: w, tar: tar.NewWriter(w), buf: make([]byte, 256<<10)}
}

// Add writes e with content r, which is read to its end for a file and ignored
// for anything else, and returns e with its digest. Content that is shorter or
// longer than e.Size is an error.
func (w *Writer) Add(e artifact.Entry, r io.Reader) (artifact.Entry, error) {
	if err := w.header(e); err != nil || e.Type != artifact.TypeFile {
		return e, err
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

func (w *Writer) header(e artifact.Entry) error {
	h, err := e.Header()
	if err != nil {
		return err
	}
	if err := e.Validate(); err != nil {
		return err
	}
	return w.tar.WriteHeader(h)
}

// smallFile is how much of a file is read into memory before its header is
// written, so that one that changes meanwhile can be read again.
const smallFile = 1 << 20

// readAgain is how often a small file that changes while it is read is read.
const readAgain = 3

// AddFile writes the bytes of f that e is of, all or a piece, and returns e as
// it was written. e and st are what was known of the file before. changed says
// that the file was another before and after every attempt to read it: a small
// one has been read several times, and stands there as it was in the last; of
// a large one the size it had at first stands there, cut or filled with zeros.
//
// look is called before anything is written and shown the content of a small
// file, nil for a large one; its error ends AddFile, and the entry is not
// written.
func (w *Writer) AddFile(f *host.File, e artifact.Entry, st host.Stat, look func([]byte) error) (_ artifact.Entry, changed bool, err error) {
	if e.Size > smallFile || e.Piece.Number > 0 {
		if err := look(nil); err != nil {
			return e, false, err
		}
		return w.addLarge(f, e, st)
	}
	var content []byte
	for range readAgain {
		if content, err = w.read(f, e.Size); err != nil {
			return e, false, err
		}
		before := st
		if changed, st, err = changedSince(f, before); err != nil {
			return e, false, err
		}
		e.Size = int64(len(content))
		e.MTime = artifact.Time{Sec: st.Mtim.Sec, Nsec: st.Mtim.Nsec}
		if !changed && e.Size == st.Size {
			break
		}
		changed = true
	}
	if err := look(content); err != nil {
		return e, changed, err
	}
	if !changed && hasHole(f, st) {
		return w.addSparse(f, e)
	}
	if err := w.header(e); err != nil {
		return e, changed, err
	}
	e.Digest = artifact.DigestOf(content)
	_, err = w.tar.Write(content)
	return e, changed, err
}

// maxGrown is how much of a file is read that was small when it was looked at.
const maxGrown = 64 * smallFile

// read returns the content of f, which should have size bytes, valid until the
// next call.
func (w *Writer) read(f *host.File, size int64) ([]byte, error) {
	want := max(size+2, 64<<10) // more than there should be: to see that it ends
	for {
		if int64(cap(w.content)) < want {
			w.content = make([]byte, want)
		}
		buf := w.content[:cap(w.content)]
		n, err := f.ReadWhole(buf)
		if err != nil || n < len(buf) || n >= maxGrown {
			return buf[:min(n, maxGrown)], err
		}
		want = 4 * int64(len(buf)) // it grows
	}
}

// changedSince reports whether f is not in the state that before describes,
// and what it is now.
func changedSince(f *host.File, before host.Stat) (bool, host.Stat, error) {
	now, err := f.Stat()
	if err != nil {
		return false, now, err
	}
	return now.Size != before.Size || now.Mtim != before.Mtim || now.Ctim != before.Ctim, now, nil
}

func (w *Writer) addLarge(f *host.File, e artifact.Entry, st host.Stat) (_ artifact.Entry, changed bool, err error) {
	content := &filled{f: f, end: e.FileSize()}
	bytes := io.NewSectionReader(content, e.Piece.Offset, e.Size)
	if hasHole(f, st) {
		e, err = w.addExtents(f, e, bytes)
	} else {
		e, err = w.Add(e, bytes)
	}
	if err != nil {
		return e, false, err
	}
	changed, _, err = changedSince(f, st)
	return e, changed || content.short, err
}

func (w *Writer) addSparse(f *host.File, e artifact.Entry) (_ artifact.Entry, changed bool, err error) {
	content := &filled{f: f, end: e.Size}
	e, err = w.addExtents(f, e, io.NewSectionReader(content, 0, e.Size))
	return e, content.short, err
}

// addExtents writes the bytes r of f with their holes.
func (w *Writer) addExtents(f *host.File, e artifact.Entry, r *io.SectionReader) (artifact.Entry, error) {
	all, err := extents(f, e.Piece.Offset, e.Size)
	if err != nil {
		return e, err
	}
	whole := len(all) == 1 && all[0] == extent{0, e.Size}
	if whole || len(all) > maxExtents {
		return w.Add(e, r)
	}
	e.Sparse = true
	if err := e.Validate(); err != nil {
		return e, err
	}
	if err := w.tar.Flush(); err != nil {
		return e, err
	}
	if err := writeSparse(w.out, e, all, r); err != nil {
		return e, err
	}
	e.Digest, err = digestExtents(all, r, e.Size)
	return e, err
}

// filled reads a file as if it had end bytes, zeros where it has shrunk.
type filled struct {
	f     io.ReaderAt
	end   int64
	short bool // zeros were made up
}

func (r *filled) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.f.ReadAt(p, off)
	if errors.Is(err, io.EOF) && off+int64(len(p)) <= r.end {
		r.short = true
		clear(p[n:])
		return len(p), nil
	}
	return n, err
}

// digestExtents is the digest of a file of the given size that is zero outside
// the extents.
func digestExtents(all []extent, r io.ReaderAt, size int64) (string, error) {
	d := artifact.NewDigester()
	hole := make([]byte, 64*holeBlock)
	at := int64(0)
	for _, x := range append(all, extent{off: size}) {
		for at < x.off {
			n := min(x.off-at, int64(len(hole)))
			_, _ = d.Write(hole[:n])
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
