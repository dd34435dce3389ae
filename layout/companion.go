package layout

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Companion is a file beside the layout's own: the program, the script that runs it,
// a page to read. image-spec allows them ("OCI Image Layout": readers do not mind).
type Companion struct {
	Name string
	Mode fs.FileMode // permission bits, where a filesystem has them
	// Content is what is in it, if it is not the content of Blob.
	Content []byte
	Blob    *ocispec.Descriptor
	// Mark stands near the start of any file of that name that is ours.
	Mark string
}

func (c Companion) size() int64 {
	if c.Blob != nil {
		return c.Blob.Size
	}
	return int64(len(c.Content))
}

// maxMark is where a mark ends, in bytes from the start.
const maxMark = 4 << 10

// Place writes files beside the layout's own, each durably and in one step. A file of
// that name that is not ours stays, and its name is returned.
func (w *Writer) Place(ctx context.Context, list []Companion) (foreign []string, err error) {
	for _, c := range list {
		if strings.ContainsRune(c.Name, '/') || c.Name == ocispec.ImageIndexFile || c.Name == ocispec.ImageLayoutFile || c.Name == VolumesFile {
			return foreign, fmt.Errorf("file %q: not beside a layout", c.Name)
		}
		same, ours, err := w.found(c)
		switch {
		case err != nil:
			return foreign, w.store.at(err)
		case !ours:
			foreign = append(foreign, c.Name)
			continue
		case same:
			continue
		}
		if err := w.place(ctx, c); err != nil {
			return foreign, fmt.Errorf("file %s: %w", c.Name, w.store.at(err))
		}
	}
	return foreign, nil
}

// found looks at what lies where c is to go.
func (w *Writer) found(c Companion) (same, ours bool, err error) {
	info, err := w.store.root.Lstat(c.Name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, true, nil
	}
	if err != nil || !info.Mode().IsRegular() {
		return false, false, err
	}
	f, err := w.store.root.Open(c.Name)
	if err != nil {
		return false, false, err
	}
	defer func() { _ = f.Close() }() // it was only read
	head := make([]byte, maxMark)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false, false, err
	}
	if !bytes.Contains(head[:n], []byte(c.Mark)) {
		return false, false, nil
	}
	if info.Size() != c.size() {
		return false, true, nil
	}
	h := sha256.New()
	_, _ = h.Write(head[:n]) // a hash never fails
	if _, err := io.Copy(h, f); err != nil {
		return false, true, nil // a bad sector of the medium: it is written again
	}
	want := digest.FromBytes(c.Content)
	if c.Blob != nil {
		want = c.Blob.Digest
	}
	return digest.NewDigest(digest.SHA256, h) == want, true, nil
}

// place writes c.
func (w *Writer) place(ctx context.Context, c Companion) (err error) {
	f, tmp, err := w.temp()
	if err != nil {
		return err
	}
	err = w.fill(ctx, f, c)
	if err = errors.Join(err, f.Close()); err == nil {
		err = w.ops.rename(w.store.root, tmp, c.Name)
	}
	if err != nil {
		return errors.Join(err, w.store.root.Remove(tmp))
	}
	return w.ops.syncDir(w.store.root, ".")
}

func (w *Writer) fill(ctx context.Context, f *os.File, c Companion) (err error) {
	if err := w.ops.setMode(f, c.Mode); err != nil {
		return err
	}
	var src io.ReadCloser = io.NopCloser(bytes.NewReader(c.Content))
	if c.Blob != nil {
		blob, err := w.store.open(blobName(c.Blob.Digest))
		if err != nil {
			return err
		}
		src = newBlobReader(blob, *c.Blob)
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	to := &blobWriter{ctx: ctx, file: f, write: w.ops.write, hash: sha256.New()}
	if _, err := io.Copy(to, src); err != nil {
		return errors.Join(err, to.err)
	}
	return w.ops.sync(f)
}

// Beside returns the digests of the files called name that lie beside the layout, of
// several volumes beside each that is here, by where they lie.
func (l *Layout) Beside(ctx context.Context, name string) (map[string]digest.Digest, error) {
	stores := []*store{l.store}
	if l.set != nil {
		stores = l.set.stores
	}
	found := map[string]digest.Digest{}
	for _, s := range stores {
		if s == nil {
			continue
		}
		d, err := s.digestOf(ctx, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, s.at(err)
		}
		found[s.dir] = d
	}
	return found, nil
}

// digestOf reads file name whole.
func (s *store) digestOf(ctx context.Context, name string) (_ digest.Digest, err error) {
	f, err := s.open(name)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := sha256.New()
	_, err = io.Copy(h, &contextReader{ctx: ctx, r: f})
	return digest.NewDigest(digest.SHA256, h), err
}
