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
	"strconv"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
)

// PutBlob stores what write writes as a blob and returns its descriptor. The
// blob is durable when PutBlob returns; memory use does not depend on its size.
// A blob of that digest that is there already is read and compared, and
// replaced if it is damaged. An error of write, a write error or the end of ctx
// leave nothing behind; write's own error is returned as it is, because it names
// what could not be written, any other names the layout.
func (w *Writer) PutBlob(ctx context.Context, mediaType string, write func(io.Writer) error) (ocispec.Descriptor, error) {
	return w.PutBlobLike(ctx, mediaType, ocispec.Descriptor{}, write)
}

// PutBlobLike is PutBlob for content that may well be that of blob like, which
// need not be there: as long as the two are the same nothing is written, and
// nothing at all if they are to the end.
func (w *Writer) PutBlobLike(ctx context.Context, mediaType string, like ocispec.Descriptor, write func(io.Writer) error) (ocispec.Descriptor, error) {
	var old *oldBlob
	if w.Has(like) {
		if f, err := w.store.open(blobName(like.Digest)); err == nil {
			old = &oldBlob{file: f, desc: like}
			defer func() { _ = f.Close() }()
		}
	}
	desc, err := w.put(ctx, ocispec.Descriptor{MediaType: mediaType}, old, write)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return desc, nil
}

// PutBytes stores b as PutBlob does.
func (w *Writer) PutBytes(ctx context.Context, mediaType string, b []byte) (ocispec.Descriptor, error) {
	return w.PutBlob(ctx, mediaType, func(to io.Writer) error {
		_, err := to.Write(b)
		return err
	})
}

// Push stores what r holds as the blob of desc, as oras-go's content.Pusher,
// with the guarantees of PutBlob. Other content than desc says is an error that
// wraps ErrCorrupt. Pushing a blob that is there is no error, and mends it if
// it is damaged.
func (w *Writer) Push(ctx context.Context, desc ocispec.Descriptor, r io.Reader) error {
	if err := checkDigest(desc.Digest); err != nil {
		return fmt.Errorf("blob: %w", err)
	}
	// One byte more than announced is enough to see that it is too much.
	r = io.LimitReader(r, max(desc.Size, 0)+1)
	_, err := w.put(ctx, desc, nil, func(to io.Writer) error {
		_, err := io.Copy(to, r)
		return err
	})
	if err != nil {
		return fmt.Errorf("blob %s: %w", desc.Digest, err)
	}
	return nil
}

// put writes a temporary file, learns digest and size on the way, and gives it
// its name. If want has a digest, they must be as it says. What comes is
// compared with the blob old, if there is one.
func (w *Writer) put(ctx context.Context, want ocispec.Descriptor, old *oldBlob, write func(io.Writer) error) (desc ocispec.Descriptor, err error) {
	f, name, err := w.temp()
	if err != nil {
		return desc, w.store.at(err)
	}
	defer func() {
		if f != nil {
			_ = f.Close() // thrown away: whether it was written does not matter
		}
		if rerr := w.store.root.Remove(name); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
	}()
	to := &blobWriter{ctx: ctx, file: f, write: w.ops.write, hash: sha256.New(), old: old}
	if err := write(to); err != nil {
		return desc, err
	}
	to.end()
	// write may have lost the error of a Write; and a blob whose last bytes came
	// before ctx ended was not asked for any more either.
	if err := errors.Join(to.err, ctx.Err()); err != nil {
		return desc, err
	}
	desc = ocispec.Descriptor{
		MediaType: want.MediaType,
		Digest:    digest.NewDigest(digest.SHA256, to.hash),
		Size:      to.size,
	}
	if want.Digest != "" && (desc.Digest != want.Digest || desc.Size != want.Size) {
		return desc, fmt.Errorf("%w: %d bytes of digest %s, its descriptor says %d bytes", ErrCorrupt, desc.Size, desc.Digest, want.Size)
	}
	fresh := false
	if to.old != nil {
		err = w.settle(desc)
	} else {
		fresh, err = w.keep(ctx, &f, name, desc)
	}
	if err != nil {
		return desc, w.store.at(err)
	}
	if w.opt.Stored != nil {
		w.opt.Stored(desc, fresh)
	}
	return desc, nil
}

// temp makes a temporary file. Its number is free: no other Writer is here,
// and sweep removed what was.
func (w *Writer) temp() (f *os.File, name string, err error) {
	w.mu.Lock()
	closed := w.closed
	w.mu.Unlock()
	if closed {
		return nil, "", ErrClosed
	}
	name = path.Join(tmpDir, strconv.FormatUint(w.next.Add(1), 10))
	if f, err = w.ops.open(w.store.root, name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode); err != nil {
		return nil, "", err
	}
	if err := w.ops.setMode(f, fileMode); err != nil {
		return nil, "", errors.Join(err, f.Close(), w.store.root.Remove(name))
	}
	return f, name, nil
}

// keep gives the temporary file *f its final name, unless the blob is there and
// sound. It sets *f to nil once it has closed it.
func (w *Writer) keep(ctx context.Context, f **os.File, name string, desc ocispec.Descriptor) (fresh bool, err error) {
	had, sound, err := w.check(ctx, desc)
	if err != nil || sound {
		return false, err
	}
	file := *f
	*f = nil
	if err := errors.Join(w.ops.sync(file), file.Close()); err != nil {
		return false, err
	}
	// Noted before the rename: an error after it must not hide the blob from
	// Abort. A damaged blob that is replaced was there before, and stays.
	if !had {
		if err := w.bring(desc.Digest); err != nil {
			return false, err
		}
	}
	if err := w.ops.rename(w.store.root, name, blobName(desc.Digest)); err != nil {
		return false, err
	}
	return true, w.ops.syncDir(w.store.root, blobsDir)
}

// check reports whether a blob of desc's digest is there, and whether its
// content is what it should be and durable: who wrote it may not have synced it.
func (w *Writer) check(ctx context.Context, desc ocispec.Descriptor) (had, sound bool, err error) {
	if _, err := w.store.root.Lstat(blobName(desc.Digest)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return false, false, nil
		}
		return false, false, err
	}
	if w.store.statBlob(desc) != nil {
		return true, false, nil // wrong size or no file: replaced
	}
	f, err := w.store.open(blobName(desc.Digest))
	if err != nil {
		return true, false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = io.Copy(io.Discard, &contextReader{ctx: ctx, r: newBlobReader(f, desc)})
	if ctx.Err() != nil {
		return true, false, ctx.Err()
	}
	if err != nil {
		return true, false, nil // damaged or unreadable: replaced
	}
	return true, true, w.settle(desc)
}

// settle makes the blob of desc, which is there and sound, durable: who wrote it
// may not have.
func (w *Writer) settle(desc ocispec.Descriptor) error {
	f, err := w.store.root.Open(blobName(desc.Digest))
	if err != nil {
		return err
	}
	if err := errors.Join(w.ops.sync(f), f.Close()); err != nil {
		return err
	}
	return w.ops.syncDir(w.store.root, blobsDir)
}

// blobWriter writes to a file and learns size and digest. After an error it
// takes no more, and ctx ends it.
type blobWriter struct {
	ctx   context.Context
	file  *os.File
	write func(*os.File, []byte) (int, error)
	hash  hash.Hash
	size  int64
	err   error
	// old is a blob that all that was written so far is the begin of; then the
	// file is still empty. nil once that is not so.
	old *oldBlob
	// flushed is how much of the file the system was told to write back.
	flushed int64
}

// Write implements io.Writer.
func (b *blobWriter) Write(p []byte) (int, error) {
	if b.err == nil {
		b.err = b.ctx.Err()
	}
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.store(p)
	// hash.Hash: Write never returns an error.
	_, _ = b.hash.Write(p[:n])
	b.size += int64(n)
	b.err = err
	b.writeBack()
	return n, err
}

// writeBackSize is how much is written before the system is told to begin with
// writing it to the medium, so that the sync at the end has little left to do.
const writeBackSize = 8 << 20

func (b *blobWriter) writeBack() {
	if n := b.size - b.flushed; b.old == nil && n >= writeBackSize {
		startWriteBack(b.file, b.flushed, n)
		b.flushed = b.size
	}
}

// startWriteBack has the system begin with writing n bytes of f at offset.
func startWriteBack(f *os.File, offset, n int64) {
	// Only sooner or later: the sync decides, and tells what went wrong.
	_ = unix.SyncFileRange(int(f.Fd()), offset, n, unix.SYNC_FILE_RANGE_WRITE)
}

// contextReader ends a long read with ctx.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

// Read implements io.Reader.
func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// replace writes b durably to file name of the layout, in one step for readers.
func (w *Writer) replace(name string, b []byte) error {
	f, tmp, err := w.temp()
	if err != nil {
		return err
	}
	if err := w.finish(f, b); err != nil {
		return errors.Join(err, f.Close(), w.store.root.Remove(tmp))
	}
	if err := f.Close(); err != nil {
		return errors.Join(err, w.store.root.Remove(tmp))
	}
	if err := w.ops.rename(w.store.root, tmp, name); err != nil {
		return errors.Join(err, w.store.root.Remove(tmp))
	}
	return w.ops.syncDir(w.store.root, ".")
}

// finish writes b to f and syncs it.
func (w *Writer) finish(f *os.File, b []byte) error {
	if err := w.ops.setMode(f, fileMode); err != nil {
		return err
	}
	if _, err := w.ops.write(f, b); err != nil {
		return err
	}
	return w.ops.sync(f)
}

// Blobs counts the blobs that are there.
func (w *Writer) Blobs() int {
	names, err := w.store.names(blobsDir)
	if err != nil {
		return 0 // whoever writes the next one hears of it
	}
	return len(names)
}

// Has reports whether a blob of desc's name and size is there. Its content is
// not read.
func (w *Writer) Has(desc ocispec.Descriptor) bool {
	return checkDigest(desc.Digest) == nil && w.store.statBlob(desc) == nil
}
