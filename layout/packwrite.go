package layout

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/xcrate/xcrate/internal/iso9660"
	"github.com/xcrate/xcrate/internal/progress"
)

// makeVolumesDir makes the directory that volumes go into, unless it is there, and
// reports whether it did. What is a layout already takes no volumes: it would be taken
// for one of them.
func makeVolumesDir(dest string) (made bool, err error) {
	if made, err = realOps().makeDir(dest); err != nil || made {
		return made, err
	}
	s, err := openStore(dest)
	if err != nil {
		return false, err
	}
	layout := s.checkVersion() == nil
	if err := s.close(); err != nil {
		return false, err
	}
	if layout {
		return false, fmt.Errorf("layout %s: %w: it is a layout itself", dest, fs.ErrExist)
	}
	return false, nil
}

// write writes volume i under the name of one that is not finished.
func (p *packer) write(ctx context.Context, i int) (err error) {
	path := p.volumes[i].Path
	if err := os.RemoveAll(path + unfinished); err != nil { // of a run that was killed
		return err
	}
	files, err := p.files(ctx, i)
	if err != nil {
		return err
	}
	for j := range files {
		open := files[j].Open
		files[j].Open = func() (io.ReadCloser, error) {
			r, err := open()
			if err != nil {
				return nil, err
			}
			return &countingReader{r, p.o.Progress}, nil
		}
	}
	if p.o.Image {
		err = p.writeImage(ctx, path+unfinished, files, i)
	} else {
		err = writeDirectory(ctx, path+unfinished, files)
	}
	if err != nil {
		return fmt.Errorf("volume %s: %w", path, err)
	}
	return nil
}

// countingReader tells progress of what is read.
type countingReader struct {
	io.ReadCloser
	to progress.Sink
}

func (r *countingReader) Read(b []byte) (int, error) {
	n, err := r.ReadCloser.Read(b)
	r.to.Add(int64(n))
	return n, err
}

// writeBuffer is large enough for a disk or a stick to be written at its speed.
const writeBuffer = 1 << 20

func (p *packer) writeImage(ctx context.Context, path string, files []iso9660.File, i int) error {
	return writeFile(path, fileMode, func(w io.Writer) error {
		b := bufio.NewWriterSize(w, writeBuffer)
		if err := iso9660.Write(ctx, b, files, p.imageOptions(i)); err != nil {
			return err
		}
		return b.Flush()
	})
}

// writeFile makes file path durable with what write writes.
func writeFile(path string, mode fs.FileMode, write func(io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	to := &flushingFile{File: f}
	if err := errors.Join(realOps().setMode(f, mode), write(to)); err != nil {
		return errors.Join(err, f.Close())
	}
	return errors.Join(f.Sync(), f.Close())
}

// flushingFile has the system begin early with what the sync at the end waits for.
type flushingFile struct {
	*os.File
	written, flushed int64
}

func (f *flushingFile) Write(b []byte) (int, error) {
	n, err := f.File.Write(b)
	f.written += int64(n)
	if f.written-f.flushed >= writeBackSize {
		startWriteBack(f.File, f.flushed, f.written-f.flushed)
		f.flushed = f.written
	}
	return n, err
}

// writeDirectory makes a directory of files.
func writeDirectory(ctx context.Context, dir string, files []iso9660.File) error {
	for _, sub := range []string{"", "blobs", blobsDir} {
		if err := os.Mkdir(filepath.Join(dir, sub), dirMode); err != nil {
			return err
		}
	}
	for _, f := range files {
		mode := fileMode | f.Mode&0o100
		if err := writeFile(filepath.Join(dir, f.Path), mode, func(w io.Writer) error { return copyFile(ctx, w, f) }); err != nil {
			return fmt.Errorf("file %s: %w", f.Path, err)
		}
	}
	for _, sub := range []string{blobsDir, "blobs", ""} {
		if err := syncDirectory(filepath.Join(dir, sub)); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(ctx context.Context, w io.Writer, f iso9660.File) (err error) {
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	n, err := io.CopyBuffer(struct{ io.Writer }{w}, &contextReader{ctx: ctx, r: r}, make([]byte, writeBuffer))
	if err == nil && n != f.Size {
		err = fmt.Errorf("%d bytes of %d: %w", n, f.Size, io.ErrUnexpectedEOF)
	}
	return err
}

// syncDirectory makes the names in directory path durable.
func syncDirectory(path string) error {
	root, err := os.OpenRoot(path)
	if err != nil {
		return err
	}
	return errors.Join(realOps().syncDir(root, "."), root.Close())
}

// CheckPack finds out early whether Pack can write to dest: an error that wraps
// fs.ErrExist says that something is there.
func CheckPack(dest string, image bool) error {
	first := filepath.Join(dest, volumesName(1))
	if image {
		if err := free(dest); err != nil {
			return err
		}
		first = imageName(dest, 1)
	}
	return free(first)
}

// free makes sure that nothing is at path.
func free(path string) error {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = fs.ErrExist
	}
	return fmt.Errorf("volume %s: %w", path, cause(err))
}

// imageName is the file of volume number of several.
func imageName(dest string, number int) string {
	ext := filepath.Ext(dest)
	return fmt.Sprintf("%s-%d%s", strings.TrimSuffix(dest, ext), number, ext)
}

// Discard removes the layout at dir with all that is in it.
func Discard(dir string) error {
	s, err := openStore(dir)
	if err != nil {
		return err
	}
	if err := errors.Join(s.checkVersion(), s.close()); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Clean(dir)); err != nil {
		return fmt.Errorf("layout %s: %w", dir, cause(err))
	}
	return nil
}
