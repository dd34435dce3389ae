package artifact

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/iotest"
)

// TestAhead reads sources of every manner, sizes around the buffers', with and
// without an error at the end: bytes and error must be the source's.
func TestAhead(t *testing.T) {
	content := make([]byte, 5*512+1)
	for i := range content {
		content[i] = byte(rand.Uint32())
	}
	broken := errors.New("broken")
	for _, n := range []int{0, 1, 511, 512, 513, 3 * 512, len(content)} {
		for name, manner := range map[string]func(io.Reader) io.Reader{
			"plain": func(r io.Reader) io.Reader { return r }, "one byte": iotest.OneByteReader, "half": iotest.HalfReader, "error with data": iotest.DataErrReader,
		} {
			for _, end := range []error{io.EOF, broken} {
				a := newAhead(manner(io.MultiReader(bytes.NewReader(content[:n]), iotest.ErrReader(end))), 512)
				got, err := io.ReadAll(iotest.HalfReader(a))
				if _, again := a.Read(make([]byte, 1)); !errors.Is(again, end) {
					t.Errorf("%s, %d bytes: after the end: %v, want %v", name, n, again, end)
				}
				a.close()
				if end == io.EOF { //nolint:errorlint // io.ReadAll's own contract
					end = nil
				}
				if !bytes.Equal(got, content[:n]) || !errors.Is(err, end) {
					t.Errorf("%s, %d bytes: read %d, %v; want %v", name, n, len(got), err, end)
				}
			}
		}
	}
}

// endless counts how often it is read.
type endless struct{ reads atomic.Int64 }

func (e *endless) Read(p []byte) (int, error) {
	e.reads.Add(1)
	return len(p), nil
}

// TestAheadClosed closes in the middle: the source is not read any more, and
// neither was it read far ahead.
func TestAheadClosed(t *testing.T) {
	src := &endless{}
	a := newAhead(src, aheadSize)
	if _, err := io.ReadFull(a, make([]byte, aheadSize+1)); err != nil {
		t.Fatal(err)
	}
	a.close()
	reads := src.reads.Load()
	if reads > 2+aheadBuffers {
		t.Errorf("the source was read %d times for two buffers", reads)
	}
	if _, err := io.Copy(io.Discard, a); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("read after close: %v", err)
	}
	if src.reads.Load() != reads {
		t.Error("the source was read after close")
	}
}
