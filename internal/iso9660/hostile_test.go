package iso9660

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"testing"
)

// An image that is cut off anywhere is refused, and says so.
func TestCutOff(t *testing.T) {
	b := imageOf(t, sample(3))
	for n := 0; n < len(b); n += 997 {
		_, err := Open(bytes.NewReader(b[:n]), int64(n))
		if !errors.Is(err, ErrImage) {
			t.Fatalf("%d bytes of %d: %v", n, len(b), err)
		}
	}
}

// walkAll reads all there is, for what must not panic.
func walkAll(b []byte) {
	i, err := Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return
	}
	_ = fs.WalkDir(i, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			if f, err := i.Open(name); err == nil {
				_, _ = io.CopyN(io.Discard, f, 4096)
			}
		}
		return nil
	})
}

// Every byte before the files' content, changed in three ways.
func TestSpoiltImage(t *testing.T) {
	b := imageOf(t, map[string][]byte{"a/b": []byte("x"), "c": []byte("y")})
	for at := systemArea * sector; at < len(b)-padding*sector; at++ {
		was := b[at]
		for _, now := range []byte{was ^ 0xff, was + 1, was ^ 0x80} {
			b[at] = now
			walkAll(b)
		}
		b[at] = was
	}
}

func FuzzOpen(f *testing.F) {
	b := imageOf(f, map[string][]byte{"a/b": []byte("x"), "c": []byte("y")})
	f.Add(b[systemArea*sector : len(b)-padding*sector])
	f.Fuzz(func(_ *testing.T, b []byte) {
		walkAll(append(make([]byte, systemArea*sector), b...))
	})
}
