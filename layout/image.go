package layout

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/xcrate/xcrate/internal/iso9660"
)

// openAny opens the layout at path: a directory, an image in a file, or a device
// with a disc in it.
func openAny(path string) (*store, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("layout %s: %w", path, cause(err))
	case info.IsDir():
		return openStore(path)
	case info.Mode().IsRegular() && isImage(path), info.Mode()&fs.ModeDevice != 0 && info.Mode()&fs.ModeCharDevice == 0:
		return openImage(path)
	}
	return nil, fmt.Errorf("layout %s: %w", path, syscall.ENOTDIR)
}

// openImage opens the ISO 9660 image in file path.
func openImage(path string) (_ *store, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", path, cause(err))
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("image %s: %w", path, cause(err)), f.Close())
		}
	}()
	// A device has no size of its own: its end is where reading ends.
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	image, err := iso9660.Open(f, size)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return &store{dir: path, tree: imageTree{image, f}}, nil
}
