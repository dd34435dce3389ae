package layout

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestPutBlobLike writes blobs that are like one that is there, to the end or to
// some byte, and counts what reaches the medium.
func TestPutBlobLike(t *testing.T) {
	old := bytes.Repeat([]byte("0123456789abcdef"), 40_000) // more than is compared at once
	other := func(at int) []byte {
		b := bytes.Clone(old)
		b[at] ^= 1
		return b
	}
	for name, c := range map[string]struct {
		content []byte
		spoil   func(t *testing.T, p string) // the old blob
		written int
		fresh   bool
	}{
		"the same":                  {content: old},
		"other at the begin":        {content: other(0), written: len(old), fresh: true},
		"other in the middle":       {content: other(300_000), written: len(old), fresh: true},
		"other at the end":          {content: other(len(old) - 1), written: len(old), fresh: true},
		"longer":                    {content: append(bytes.Clone(old), 'x'), written: len(old) + 1, fresh: true},
		"shorter":                   {content: old[:len(old)-1], written: len(old) - 1, fresh: true},
		"empty":                     {content: nil, fresh: true},
		"old damaged":               {content: old, spoil: damage, written: len(old), fresh: true},
		"old gone":                  {content: old, spoil: remove, written: len(old), fresh: true},
		"old cut":                   {content: old, spoil: func(t *testing.T, p string) { put(t, p, "0123") }, written: len(old), fresh: true},
		"the same as a damaged one": {content: other(7), spoil: func(t *testing.T, p string) { put(t, p, string(other(7))) }, written: len(old), fresh: true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "d")
			written, fresh := 0, false
			o := realOps()
			write := o.write
			o.write = func(f *os.File, p []byte) (int, error) {
				if filepath.Base(f.Name()) != addedFile {
					written += len(p)
				}
				return write(f, p)
			}
			w, err := create(dir, Options{Stored: func(_ ocispec.Descriptor, f bool) { fresh = f }}, o)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = w.Close() }()
			like, err := w.PutBytes(t.Context(), "x/y", old)
			if err != nil {
				t.Fatal(err)
			}
			if c.spoil != nil {
				c.spoil(t, blobPath(dir, like))
			}
			written = 0
			desc, err := w.PutBlobLike(t.Context(), "x/y", like, func(to io.Writer) error {
				for part := range slices.Chunk(c.content, 70_001) {
					if _, err := to.Write(part); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil || desc.Digest != digest.FromBytes(c.content) || desc.Size != int64(len(c.content)) {
				t.Fatalf("%+v, %v", desc, err)
			}
			if written != c.written || fresh != c.fresh {
				t.Errorf("%d bytes written, fresh %v; want %d, %v", written, fresh, c.written, c.fresh)
			}
			if !bytes.Equal(read(t, blobPath(dir, desc)), c.content) {
				t.Error("the blob has other bytes")
			}
			if names := temporary(t, dir); len(names) > 0 {
				t.Errorf("left over: %v", names)
			}
		})
	}
}

func remove(t *testing.T, p string) {
	t.Helper()
	if err := os.Remove(p); err != nil {
		t.Fatal(err)
	}
}
