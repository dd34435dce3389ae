package layers

import (
	"io"
	"os"
	"sync"

	"github.com/xcrate/xcrate/internal/host"
)

// spool keeps the catalog's records of each part, compressed, until all parts
// are written: parts end in any order, and the catalog has one.
type spool struct {
	mu   sync.Mutex
	file *os.File
	size int64
}

// section is the records of one part: a zstd stream of its own. Several such
// streams one after the other are one (RFC 8878, section 3.1).
type section struct{ off, size int64 }

func newSpool(dir string) (*spool, error) {
	f, err := host.ScratchFile(dir)
	return &spool{file: f}, err
}

func (s *spool) close() error { return s.file.Close() }

// add keeps b.
func (s *spool) add(b []byte) (section, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := section{s.size, int64(len(b))}
	n, err := s.file.WriteAt(b, at.off)
	s.size += int64(n)
	return at, err
}

// copy writes what was kept as at to w.
func (s *spool) copy(w io.Writer, at section) error {
	n, err := io.Copy(w, io.NewSectionReader(s.file, at.off, at.size))
	if err == nil && n != at.size {
		err = io.ErrUnexpectedEOF
	}
	return err
}
