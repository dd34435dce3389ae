package layout

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"regexp"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/xcrate/xcrate/internal/progress"
)

// Source is where blobs come from: another layout, a registry.
type Source interface {
	// Fetch opens a blob; the reader answers io.EOF only if size and digest are right.
	Fetch(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error)
	// FetchFrom opens a blob at offset, in bytes, and verifies nothing.
	FetchFrom(ctx context.Context, desc ocispec.Descriptor, offset int64) (io.ReadCloser, error)
}

// ReceiveAll stores blobs from a source, parallel of them at once, as Receive does.
// p hears of every byte that is here: written now, or found to be here already.
func (w *Writer) ReceiveAll(ctx context.Context, from Source, blobs []ocispec.Descriptor, parallel int, p progress.Sink) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(max(parallel, 1))
	for _, d := range blobs {
		g.Go(func() error { return w.Receive(ctx, d, from, p) })
	}
	return g.Wait()
}

// Receive stores the blob of desc, which from has. It goes on where an earlier
// Receive of this layout was interrupted, even in another process: what it wrote is
// kept until a Commit, read again, and counts only if the whole has the digest.
// A blob that is here and sound is not fetched.
func (w *Writer) Receive(ctx context.Context, desc ocispec.Descriptor, from Source, p progress.Sink) error {
	if err := checkDigest(desc.Digest); err != nil {
		return fmt.Errorf("blob: %w", err)
	}
	_, sound, err := w.check(ctx, desc)
	if err != nil {
		return fmt.Errorf("blob %s: %w", desc.Digest, w.store.at(err))
	}
	if sound {
		p.Add(desc.Size)
		return nil
	}
	r := &receipt{w: w, desc: desc, from: from, progress: p, name: path.Join(tmpDir, desc.Digest.Encoded()+partSuffix)}
	resumed, err := r.run(ctx)
	if errors.Is(err, ErrCorrupt) && resumed {
		// A power cut may have left a part that is not what was written to it.
		_, err = r.run(ctx)
	}
	if err != nil {
		return fmt.Errorf("blob %s: %w", desc.Digest, err)
	}
	return nil
}

// partSuffix ends the name of a blob that is not whole yet, in tmpDir.
const partSuffix = ".part"

var partPattern = regexp.MustCompile(`^[0-9a-f]{64}\.part$`)

// receipt is a blob on its way here.
type receipt struct {
	w        *Writer
	desc     ocispec.Descriptor
	from     Source
	progress progress.Sink
	name     string
	counted  int64 // bytes that progress has heard of
}

// run brings the blob, and reports whether some of it was here before.
func (r *receipt) run(ctx context.Context) (resumed bool, err error) {
	f, err := r.w.ops.open(r.w.store.root, r.name, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return false, r.w.store.at(err)
	}
	defer func() {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	if err := r.w.ops.setMode(f, fileMode); err != nil {
		return false, r.w.store.at(err)
	}
	h := sha256.New()
	had, err := r.have(ctx, f, h)
	if err != nil {
		return false, r.w.store.at(err)
	}
	if err := r.fetch(ctx, f, h, had); err != nil {
		return had > 0, err
	}
	if got := digest.NewDigest(digest.SHA256, h); got != r.desc.Digest {
		err := fmt.Errorf("%w: its %d bytes have digest %s", ErrCorrupt, r.desc.Size, got)
		return had > 0, errors.Join(err, r.w.store.root.Remove(r.name))
	}
	file := f
	f = nil
	return had > 0, r.keep(file)
}

// have reads what an earlier run left, into h, and tells how much it is. The file is
// then at its end.
func (r *receipt) have(ctx context.Context, f *os.File, h hash.Hash) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if info.Size() > r.desc.Size {
		return 0, f.Truncate(0)
	}
	n, err := io.Copy(h, &contextReader{ctx: ctx, r: f})
	if err == nil {
		r.count(n)
	}
	return n, err
}

// fetch writes the bytes from offset on.
func (r *receipt) fetch(ctx context.Context, f *os.File, h hash.Hash, offset int64) (err error) {
	if offset == r.desc.Size {
		return nil
	}
	src, err := r.from.FetchFrom(ctx, r.desc, offset)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	to := &blobWriter{ctx: ctx, file: f, write: r.w.ops.write, hash: h, size: offset, flushed: offset}
	counting := writerFunc(func(p []byte) (int, error) {
		n, err := to.Write(p)
		r.count(to.size)
		return n, err
	})
	// One byte more than announced is enough to see that it is too much.
	_, err = io.CopyBuffer(counting, io.LimitReader(src, r.desc.Size-offset+1), make([]byte, 1<<20))
	switch {
	case to.err != nil:
		return r.w.store.at(to.err)
	case err != nil:
		return err
	case to.size == r.desc.Size:
		return nil
	case to.size < r.desc.Size:
		return fmt.Errorf("%d bytes of %d: %w", to.size, r.desc.Size, io.ErrUnexpectedEOF)
	}
	err = fmt.Errorf("%w: longer than the %d bytes its descriptor says", ErrCorrupt, r.desc.Size)
	return errors.Join(err, r.w.store.root.Remove(r.name))
}

// count tells progress of the bytes that are here, which never get fewer.
func (r *receipt) count(here int64) {
	if more := min(here, r.desc.Size) - r.counted; more > 0 {
		r.counted += more
		r.progress.Add(more)
	}
}

// keep gives the file, which is whole, its name as a blob.
func (r *receipt) keep(f *os.File) error {
	w := r.w
	if err := errors.Join(w.ops.sync(f), f.Close()); err != nil {
		return w.store.at(err)
	}
	if _, err := w.store.root.Lstat(blobName(r.desc.Digest)); errors.Is(err, fs.ErrNotExist) {
		if err := w.bring(r.desc.Digest); err != nil {
			return w.store.at(err)
		}
	}
	if err := w.ops.rename(w.store.root, r.name, blobName(r.desc.Digest)); err != nil {
		return w.store.at(err)
	}
	if err := w.ops.syncDir(w.store.root, blobsDir); err != nil {
		return w.store.at(err)
	}
	if w.opt.Stored != nil {
		w.opt.Stored(r.desc, true)
	}
	return nil
}
