package layout

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// tally is a progress sink that counts.
type tally struct {
	mu   sync.Mutex
	n    int64
	less bool // something was taken back
}

func (*tally) Phase(string, int64) {}
func (*tally) Done()               {}
func (c *tally) Add(n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n += n
	c.less = c.less || n < 0
}

// breaking is a source of one blob whose connection breaks after a number of bytes.
type breaking struct {
	body   []byte
	after  int64 // bytes of each connection, 0 for all
	served int64
	broken int
}

var errBroken = errors.New("connection broke")

func (b *breaking) Fetch(context.Context, ocispec.Descriptor) (io.ReadCloser, error) {
	return nil, errors.New("nobody asks for it whole")
}

func (b *breaking) FetchFrom(_ context.Context, _ ocispec.Descriptor, offset int64) (io.ReadCloser, error) {
	var r io.Reader = bytes.NewReader(b.body[offset:])
	if b.after > 0 {
		r = io.MultiReader(io.LimitReader(r, b.after), failing{})
		b.broken++
	}
	return io.NopCloser(io.TeeReader(r, writerFunc(func(p []byte) (int, error) {
		b.served += int64(len(p))
		return len(p), nil
	}))), nil
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errBroken }

// big is a blob of several megabytes that is no repetition.
func big(n int) ([]byte, ocispec.Descriptor) {
	body := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(body)
	return body, ocispec.Descriptor{MediaType: "application/octet-stream", Digest: digest.FromBytes(body), Size: int64(n)}
}

// Every attempt is a process of its own: a Writer that was closed. Each goes on where
// the one before it broke.
func TestReceiveGoesOn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	body, desc := big(10<<20 + 17)
	from := &breaking{body: body, after: 3 << 20}
	for try := 0; ; try++ {
		w, err := Create(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		var p tally
		err = w.Receive(t.Context(), desc, from, &p)
		if want := min(int64(try+1)*from.after, desc.Size); p.n != want || p.less {
			t.Errorf("try %d: progress heard of %d bytes, want %d", try, p.n, want)
		}
		if cerr := w.Close(); cerr != nil {
			t.Fatal(cerr)
		}
		if err == nil {
			break
		}
		if !errors.Is(err, errBroken) || try > 4 {
			t.Fatalf("try %d: %v", try, err)
		}
	}
	if from.served != desc.Size {
		t.Errorf("%d bytes were served, the blob has %d", from.served, desc.Size)
	}
	if got := read(t, blobPath(dir, desc)); !bytes.Equal(got, body) {
		t.Error("the blob has another content")
	}
	if names := temporary(t, dir); len(names) > 0 {
		t.Errorf("left behind: %v", names)
	}
}

// What a power cut left of a part may be anything. It costs a second transfer.
func TestReceiveSpoiltPart(t *testing.T) {
	for name, spoil := range map[string]func(part []byte) []byte{
		"zeroes":   func(part []byte) []byte { return make([]byte, len(part)) },
		"one_bit":  func(part []byte) []byte { part[100] ^= 1; return part },
		"too_long": func(part []byte) []byte { return append(part, make([]byte, 4<<20)...) },
		"empty":    func([]byte) []byte { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "d")
			body, desc := big(3 << 20)
			w, err := Create(dir, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Receive(t.Context(), desc, &breaking{body: body, after: 1 << 20}, &tally{}); !errors.Is(err, errBroken) {
				t.Fatal(err)
			}
			part := filepath.Join(dir, tmpDir, desc.Digest.Encoded()+partSuffix)
			put(t, part, string(spoil(read(t, part))))
			var p tally
			if err := w.Receive(t.Context(), desc, &breaking{body: body}, &p); err != nil {
				t.Fatal(err)
			}
			if p.n != desc.Size || !bytes.Equal(read(t, blobPath(dir, desc)), body) {
				t.Errorf("progress heard of %d bytes of %d", p.n, desc.Size)
			}
			if err := w.Abort(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A source that sends something else leaves no blob and no part.
func TestReceiveOther(t *testing.T) {
	body, desc := big(2 << 20)
	for name, sent := range map[string][]byte{
		"other": append([]byte{body[0] ^ 1}, body[1:]...),
		"long":  append(bytes.Clone(body), 0),
	} {
		dir := filepath.Join(t.TempDir(), name)
		w, err := Create(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Receive(t.Context(), desc, &breaking{body: sent}, &tally{}); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if names := list(t, dir); len(names) != 0 {
			t.Errorf("%s: left behind: %v", name, names)
		}
	}
	short := &breaking{body: body[:1<<20]}
	w, err := Create(filepath.Join(t.TempDir(), "short"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Receive(t.Context(), desc, short, &tally{}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("short: %v", err)
	}
	if err := w.Abort(); err != nil {
		t.Fatal(err)
	}
}

// list names what is below blobs and in the directory of temporary files.
func list(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	for _, sub := range []string{blobsDir, tmpDir} {
		entries, err := os.ReadDir(filepath.Join(dir, sub))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
	}
	return names
}

// A blob that is here is not asked for; one that is here and damaged is.
func TestReceiveWhatIsHere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	body, desc := big(1 << 20)
	w, err := Create(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	from := &breaking{body: body}
	for range 2 {
		var p tally
		if err := w.Receive(t.Context(), desc, from, &p); err != nil || p.n != desc.Size {
			t.Fatalf("%d bytes, %v", p.n, err)
		}
	}
	if from.served != desc.Size {
		t.Errorf("%d bytes were served", from.served)
	}
	spoilt := bytes.Clone(body)
	spoilt[1000] ^= 1
	put(t, blobPath(dir, desc), string(spoilt))
	if err := w.Receive(t.Context(), desc, from, &tally{}); err != nil || from.served != 2*desc.Size {
		t.Errorf("damaged: %v, %d bytes served", err, from.served)
	}
	if !bytes.Equal(read(t, blobPath(dir, desc)), body) {
		t.Error("the blob is still damaged")
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// A full disk keeps what fits for the next time; Abort keeps nothing.
func TestReceiveFullDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	body, desc := big(5 << 20)
	writes := 0
	w, err := create(dir, Options{}, hook(func(op string) error {
		if op == "write" {
			if writes++; writes > 4 {
				return syscall.ENOSPC
			}
		}
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Receive(t.Context(), desc, &breaking{body: body}, &tally{}); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if names := list(t, dir); len(names) != 1 {
		t.Errorf("kept: %v", names)
	}
	if w, err = Create(dir, Options{}); err != nil {
		t.Fatal(err)
	}
	if err := w.Abort(); err != nil {
		t.Fatal(err)
	}
	if names := list(t, dir); len(names) != 0 {
		t.Errorf("left behind after Abort: %v", names)
	}
}

// What was received in part and is no part of the snapshot goes with the Commit.
func TestReceivePartsAreSwept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	body, desc := big(2 << 20)
	w, err := Create(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Receive(t.Context(), desc, &breaking{body: body, after: 1 << 20}, &tally{}); !errors.Is(err, errBroken) {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	one := save(t, dir, "one", "v1")
	mustVerify(t, dir, "v1", one)
	if _, err := os.Stat(filepath.Join(dir, tmpDir)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left behind: %v", err)
	}
}

// Only keeps one snapshot, and of other files in the directory all.
func TestOnly(t *testing.T) {
	dir, one, second := two(t)
	put(t, filepath.Join(dir, "notes.txt"), "mine")
	put(t, filepath.Join(dir, blobsDir, "README"), "mine too")
	w, err := Create(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Only(t.Context(), second, "kept"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	mustVerify(t, dir, "kept", second)
	if _, err := os.Stat(blobPath(dir, one)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the other manifest: %v", err)
	}
	// config, two layers, manifest and the file of somebody else
	if names := list(t, dir); len(names) != 5 {
		t.Errorf("blobs: %v", names)
	}
	if _, err := os.Stat(filepath.Join(dir, "notes.txt")); err != nil {
		t.Error(err)
	}
}
