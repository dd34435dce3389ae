package layout

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
)

// A medium that kept something else than was written to it is found out, though the
// system still remembers what was written.
func TestUncache(t *testing.T) {
	image, dir := loopMount(t, 64<<20)
	content := bytes.Repeat([]byte("a blob that is on a bad medium, "), 1<<15)
	desc := ocispec.Descriptor{MediaType: "application/octet-stream", Digest: digest.FromBytes(content), Size: int64(len(content))}
	w, err := Create(filepath.Join(dir, "usb"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Push(t.Context(), desc, bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	l, err := Open(filepath.Join(dir, "usb"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.Uncache([]ocispec.Descriptor{desc}); err != nil {
		t.Fatal(err)
	}
	if err := readBlob(t, l, desc); err != nil {
		t.Fatalf("read back: %v", err)
	}
	damageImage(t, image, content)
	if err := readBlob(t, l, desc); err != nil {
		t.Fatalf("it is in memory still, and this test proves nothing: %v", err)
	}
	if err := l.Uncache([]ocispec.Descriptor{desc}); err != nil {
		t.Fatal(err)
	}
	if err := readBlob(t, l, desc); !errors.Is(err, ErrCorrupt) {
		t.Errorf("read back from a medium that lost it: %v", err)
	}
}

func readBlob(t *testing.T, l *Layout, desc ocispec.Descriptor) error {
	t.Helper()
	r, err := l.Fetch(t.Context(), desc)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = new(bytes.Buffer).ReadFrom(r)
	return err
}

// loopMount mounts a new filesystem in a file.
func loopMount(t *testing.T, size int64) (image, dir string) {
	t.Helper()
	image = filepath.Join(t.TempDir(), "image")
	if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, size)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", image).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return image, mount(t, "-o", "loop", image)
}

// damageImage changes one byte of content where the image has it.
func damageImage(t *testing.T, image string, content []byte) {
	t.Helper()
	b, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(b, content[:4096])
	if at < 0 {
		t.Fatal("the content is not in the image")
	}
	f, err := os.OpenFile(image, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{b[at+100] ^ 1}, int64(at+100)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestRemovable(t *testing.T) {
	sys := t.TempDir()
	disk := func(path, number, says string, partition bool) uint64 {
		at := filepath.Join(sys, "devices", path)
		if err := os.MkdirAll(at, 0o755); err != nil {
			t.Fatal(err)
		}
		says += "\n"
		where := at
		if partition {
			where = filepath.Dir(at)
		}
		links := filepath.Join(sys, "dev/block")
		err := errors.Join(os.WriteFile(filepath.Join(where, "removable"), []byte(says), 0o644), os.MkdirAll(links, 0o755), os.Symlink(at, filepath.Join(links, number)))
		if err != nil {
			t.Fatal(err)
		}
		var major, minor uint32
		for i, p := 0, &major; i < len(number); i++ {
			if number[i] == ':' {
				p = &minor
				continue
			}
			*p = *p*10 + uint32(number[i]-'0')
		}
		return unix.Mkdev(major, minor)
	}
	for _, test := range []struct {
		name string
		dev  uint64
		want bool
	}{
		{"a disk", disk("pci/ata1/block/sda", "8:0", "0", false), false},
		{"its partition", disk("pci/ata1/block/sda/sda1", "8:1", "0", true), false},
		{"a stick's partition", disk("pci/usb1/block/sdb/sdb1", "8:17", "1", true), true},
		{"a disk at USB, which calls itself fixed", disk("pci/usb2/block/sdc/sdc1", "8:33", "0", true), true},
		{"a card", disk("pci/mmc/block/mmcblk0", "179:0", "1", false), true},
		{"no device", unix.Mkdev(0, 44), false},
	} {
		if got := removable(sys, test.dev); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}

func TestLimits(t *testing.T) {
	if got := limits(unix.MSDOS_SUPER_MAGIC); got.Filesystem != "FAT" || got.Blobs != 10_900 {
		t.Errorf("FAT: %+v", got)
	}
	if got := limits(unix.EXT4_SUPER_MAGIC); got != (Limits{}) {
		t.Errorf("ext4: %+v", got)
	}
}

// A list of leftovers that a power cut filled with anything stops nobody.
func TestGarbageOfLeftovers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	save(t, dir, "one", "one")
	if err := errors.Join(os.Mkdir(filepath.Join(dir, tmpDir), 0o700), os.WriteFile(filepath.Join(dir, tmpDir, addedFile), make([]byte, 1<<20), 0o600)); err != nil {
		t.Fatal(err)
	}
	mustVerify(t, dir, "two", save(t, dir, "two", "two"))
}

// How many blobs a directory of FAT32 takes follows from how many entries of 32 bytes the
// name of one takes. They are counted in an image that mtools wrote.
func TestFATNames(t *testing.T) {
	for _, name := range []string{"mkfs.vfat", "mcopy"} {
		if _, err := exec.LookPath(name); err != nil {
			unavailable(t, "%v: apt-get install dosfstools mtools", err)
		}
	}
	dir := filepath.Join(t.TempDir(), "usb")
	w, err := Create(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	const blobs = 150
	for i := range blobs {
		if _, err := w.PutBytes(t.Context(), "x/y", []byte(strconv.Itoa(i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	image, back := filepath.Join(t.TempDir(), "fat"), t.TempDir()
	if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, 64<<20)); err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{
		{"mkfs.vfat", "-F", "32", image},
		{"mcopy", "-i", image, "-s", filepath.Join(dir, blobsDir), "::"},
		{"mcopy", "-i", image, "-s", "::sha256", back},
	} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", command, err, out)
		}
	}
	names, err := os.ReadDir(filepath.Join(back, "sha256"))
	if err != nil || len(names) != blobs {
		t.Errorf("%d blobs came back, %v", len(names), err)
	}
	for _, e := range names {
		if _, err := os.Stat(filepath.Join(dir, blobsDir, e.Name())); err != nil {
			t.Error(err)
		}
	}
	b, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	entries := blobs // one each is the short name
	for at := 0; at+32 <= len(b); at += 32 {
		// Attributes 0x0f and type 0 are those of a part of a long name.
		if e := b[at : at+32]; e[11] == 0x0f && e[12] == 0 && e[0]&0x3f <= 20 && e[0]&0x3f > 0 {
			entries++
		}
	}
	if got := entries / blobs; got != 6 || fatNames > 65_536/got-2 {
		t.Errorf("%d entries for %d blobs: %d fit, not %d", entries, blobs, 65_536*blobs/entries-2, fatNames)
	}
}
