package pkgmgr

import (
	"bytes"
	"io"
	"math/rand/v2"
	"path/filepath"
	"testing"
)

// TestXZGuard passes on what xz writes as it is, whatever its structure.
func TestXZGuard(t *testing.T) {
	need(t, "xz")
	dir := t.TempDir()
	noise := make([]byte, 300_000)
	r := rand.NewChaCha8([32]byte{})
	_, _ = r.Read(noise)
	text := bytes.Repeat([]byte("some text that shrinks "), 40_000)
	file := filepath.Join(dir, "file")
	for name, plain := range map[string][]byte{"noise": noise, "text": text, "both": append(text[:len(text):len(text)], noise...), "empty": nil, "byte": {1}} {
		write(t, file, plain)
		for _, options := range []string{"", "-9e", "-C none", "-C crc32", "-C sha256", "--block-size=65536", "-T2 --block-size=70001", "-T0"} {
			packed := []byte(command(t, "sh", "-c", `xz -c `+options+` "$1"; xz -c `+options+` "$1"; printf '\0\0\0\0\0\0\0\0'`, "sh", file))
			got, err := io.ReadAll(newXZGuard(bytes.NewReader(packed), maxWindow))
			if err != nil || !bytes.Equal(got, packed) {
				t.Errorf("%s %q: %d of %d bytes, %v", name, options, len(got), len(packed), err)
			}
			in, done, err := unpack(bytes.NewReader(packed))
			if err != nil {
				t.Fatal(err)
			}
			got, err = io.ReadAll(in)
			done()
			if err != nil || !bytes.Equal(got, append(plain[:len(plain):len(plain)], plain...)) {
				t.Errorf("%s %q: unpacked %d of %d bytes, %v", name, options, len(got), 2*len(plain), err)
			}
		}
	}
}

// TestXZGuardLimit ends before a block whose dictionary is too large, though the
// first is small.
func TestXZGuardLimit(t *testing.T) {
	need(t, "xz")
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, []byte("text"))
	small := []byte(command(t, "xz", "-c", file))
	large := []byte(command(t, "xz", "-c", "--lzma2=preset=0,dict=192MiB", file))
	for _, packed := range [][]byte{large, append(small, large...)} {
		in, done, err := unpack(bytes.NewReader(packed))
		if err == nil {
			_, err = io.Copy(io.Discard, in)
			done()
		}
		wantError(t, err, "a dictionary of 201326592 bytes")
	}
}

func FuzzXZGuard(f *testing.F) {
	f.Add([]byte("\xfd7zXZ\x00\x00\x04\xe6\xd6\xb4\x46\x00\x00\x00\x00\x1c\xdf\x44\x21\x1f\xb6\xf3\x7d\x01\x00\x00\x00\x00\x04YZ"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := io.ReadAll(newXZGuard(bytes.NewReader(b), maxWindow))
		if !bytes.HasPrefix(b, got) || (err == nil && len(got) != len(b)) {
			t.Errorf("%q of %q, %v", got, b, err)
		}
	})
}
