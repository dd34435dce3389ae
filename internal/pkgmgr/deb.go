package pkgmgr

import (
	"archive/tar"
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/xcrate/xcrate/artifact"
)

// Bounds of a deb. Control files have some kilobytes, digests of the largest
// packages some megabytes; scripts may hold anything, and are not kept.
const (
	maxControl     = 1 << 20
	maxControlTar  = 256 << 20 // unpacked
	maxDebFormat   = 1 << 10   // of the member debian-binary
	debFormatMajor = "2."
)

// ReadDeb reads the deb called name, of size bytes, from r to its end (deb(5)),
// and returns its control paragraph beside what a snapshot records. It verifies
// that the members are complete, that control and data unpack to their ends with
// the digests of their compression, and that the files are those of the digests
// within, of which a package need not have any. A file that is truncated or
// damaged is an error that names it. Memory holds the paragraph and the digests,
// never the data.
func ReadDeb(name string, r io.Reader, size int64) (Package, Paragraph, error) {
	p, c, err := readDeb(r, size)
	if err != nil {
		return Package{}, Paragraph{}, fmt.Errorf("deb %s: %w", name, err)
	}
	return p, c, nil
}

func readDeb(r io.Reader, size int64) (Package, Paragraph, error) {
	whole := sha256.New()
	in := &counter{r: io.TeeReader(r, whole)}
	ar, err := newAr(in)
	if err != nil {
		return Package{}, Paragraph{}, err
	}
	c, err := readDebControl(ar)
	if err != nil {
		return Package{}, Paragraph{}, err
	}
	if err := readDebData(ar, c.sums); err != nil {
		return Package{}, Paragraph{}, err
	}
	if in.n != size {
		return Package{}, Paragraph{}, fmt.Errorf("%d bytes read of a file of %d: it changed", in.n, size)
	}
	p := Package{BuildTime: c.time, header: digest.FromBytes(c.raw)}
	if p.Package, err = debIdentity(c.paragraph); err != nil {
		return Package{}, Paragraph{}, err
	}
	p.Size, p.Digest = size, digest.NewDigest(digest.SHA256, whole)
	return p, c.paragraph, nil
}

// peekDeb reads the members up to the control file alone.
func peekDeb(r io.Reader) (artifact.Package, error) {
	ar, err := newAr(&counter{r: r})
	if err != nil {
		return artifact.Package{}, err
	}
	c, err := readDebControl(ar)
	if err != nil {
		return artifact.Package{}, err
	}
	return debIdentity(c.paragraph)
}

// debControl is what a deb has before its data.
type debControl struct {
	time      int64 // of the member debian-binary: when it was built
	raw       []byte
	paragraph Paragraph
	sums      debSums
}

// readDebControl reads the members up to control.tar.
func readDebControl(ar *arReader) (debControl, error) {
	m, err := ar.next()
	if err != nil {
		return debControl{}, truncated(err)
	}
	if m.name != "debian-binary" {
		return debControl{}, fmt.Errorf("member %q: not a deb file", m.name)
	}
	version, err := readAtMost(ar, maxDebFormat)
	if err != nil {
		return debControl{}, fmt.Errorf("member %s: %w", m.name, err)
	}
	if !bytes.HasPrefix(version, []byte(debFormatMajor)) {
		return debControl{}, fmt.Errorf("deb format %.20q: only 2.0 is known", version)
	}
	c := debControl{time: m.time}
	err = eachDebFile(ar, "control.tar", maxControlTar, func(h *tar.Header, in io.Reader) (err error) {
		switch {
		case h.Typeflag != tar.TypeReg:
		case path.Clean("/"+h.Name) == "/control" && c.raw == nil:
			if c.raw, err = readAtMost(in, maxControl); err == nil {
				c.paragraph, err = parseControl(c.raw)
			}
		case path.Clean("/"+h.Name) == "/md5sums" && c.sums == nil:
			c.sums, err = readDebSums(in)
		case path.Clean("/"+h.Name) == "/control" || path.Clean("/"+h.Name) == "/md5sums":
			err = errors.New("it is there twice")
		}
		return err
	})
	if err == nil && c.raw == nil {
		err = errors.New("member control.tar: no control file in it")
	}
	return c, err
}

// eachDebFile goes on to the tar called name, over members that begin with "_",
// and calls each for its entries. It reads to the end of what is packed, where the
// digests of compressions are.
func eachDebFile(ar *arReader, name string, limit int64, each func(h *tar.Header, in io.Reader) error) error {
	m, err := ar.next()
	for err == nil && strings.HasPrefix(m.name, "_") {
		m, err = ar.next()
	}
	if err != nil {
		return fmt.Errorf("member %s: %w", name, truncated(err))
	}
	suffix, ok := strings.CutPrefix(m.name, name)
	if !ok {
		return fmt.Errorf("member %q where %s is to be", m.name, name)
	}
	plain, done, err := unpackMember(ar, suffix)
	if err != nil {
		return fmt.Errorf("member %s: %w", m.name, err)
	}
	defer done()
	plain = newBounded(plain, limit)
	for in := tar.NewReader(plain); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("member %s: %w", m.name, err)
		}
		if err := each(h, in); err != nil {
			return fmt.Errorf("member %s: file %.200q: %w", m.name, h.Name, err)
		}
	}
	if _, err := io.Copy(io.Discard, plain); err != nil {
		return fmt.Errorf("member %s: %w", m.name, err)
	}
	return nil
}

// unpackMember unpacks a member by the end of its name. dpkg goes by that, so
// the content must be of the same sort.
func unpackMember(in io.Reader, suffix string) (io.Reader, func(), error) {
	magic, known := map[string]string{"": "", ".gz": "\x1f\x8b", ".xz": "\xfd7zXZ\x00", ".zst": "\x28\xb5\x2f\xfd", ".bz2": "BZh"}[suffix]
	if !known {
		return nil, nil, errors.New("a compression that is not known")
	}
	buf := bufio.NewReader(in)
	if head, err := buf.Peek(len(magic)); err != nil {
		return nil, nil, truncated(err)
	} else if string(head) != magic {
		return nil, nil, fmt.Errorf("its content is no %s", strings.TrimPrefix(suffix, "."))
	}
	return unpack(buf)
}

// parseControl reads the control file of a deb. Control characters would end up
// in the index of a repository.
func parseControl(raw []byte) (Paragraph, error) {
	if i := bytes.IndexFunc(raw, func(r rune) bool { return r < ' ' && r != '\t' && r != '\n' && r != '\r' }); i >= 0 {
		return Paragraph{}, fmt.Errorf("byte %#x in it", raw[i])
	}
	in := newParagraphs(bytes.NewReader(raw))
	p, err := in.next()
	if errors.Is(err, io.EOF) {
		return Paragraph{}, errors.New("it is empty")
	}
	if err != nil {
		return Paragraph{}, err
	}
	if _, err := in.next(); !errors.Is(err, io.EOF) {
		return Paragraph{}, fmt.Errorf("more than one paragraph, up to line %d", in.number)
	}
	return p, nil
}

// debIdentity takes what names a package from its paragraph.
func debIdentity(c Paragraph) (artifact.Package, error) {
	p := artifact.Package{Name: c.Get("Package"), Arch: c.Get("Architecture")}
	version := c.Get("Version")
	p.Epoch, p.Version, p.Release = splitDebVersion(version)
	if err := checkDebName(p); err != nil {
		return artifact.Package{}, err
	}
	if full := debVersion(p); full != version {
		return artifact.Package{}, fmt.Errorf("version %.200q: not one a package can have", version)
	}
	_, file, ok := strings.Cut(debVersion(p), ":")
	if !ok {
		file = version
	}
	p.File = p.Name + "_" + file + "_" + p.Arch + ".deb"
	return p, nil
}

// debVersion joins what splitDebVersion split.
func debVersion(p artifact.Package) string {
	v := p.Version
	if p.Epoch != "" {
		v = p.Epoch + ":" + v
	}
	if p.Release != "" {
		v += "-" + p.Release
	}
	return v
}

// paragraph reads the control file of a deb that Find found once more.
func (p Package) paragraph() (Paragraph, error) {
	f, err := p.Open()
	if err != nil {
		return Paragraph{}, err
	}
	defer func() { _ = f.Close() }()
	ar, err := newAr(f)
	if err != nil {
		return Paragraph{}, fmt.Errorf("deb %s: %w", p.From, err)
	}
	c, err := readDebControl(ar)
	if err != nil {
		return Paragraph{}, fmt.Errorf("deb %s: %w", p.From, err)
	}
	if digest.FromBytes(c.raw) != p.header {
		return Paragraph{}, fmt.Errorf("deb %s: it changed", p.From)
	}
	return c.paragraph, nil
}
