package pkgmgr

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
)

// Package is one rpm or deb: what a snapshot records of it, and where it lies.
// What it says beside that is in Details, or for a deb in its Paragraph.
type Package struct {
	// Package holds name, epoch ("" where it has none), version, release (of a
	// deb the revision, "" where it has none), arch, and size and digest (sha256)
	// of the file. File is NAME-VERSION-RELEASE.ARCH.rpm, or
	// NAME_VERSION-REVISION_ARCH.deb: a file's own name may be anything. The
	// caller may put directories before it; repodata points to it. Find sets
	// From to the file's path.
	artifact.Package
	// HeaderStart and HeaderEnd are the byte range of an rpm's main header.
	HeaderStart, HeaderEnd int64
	// BuildTime is seconds since 1970, 0 where the package does not say.
	BuildTime int64

	header digest.Digest // of the main header or control file: the file read later is the one read first
	root   *host.Root
}

// ErrSource is the error of Read for an rpm of sources.
var ErrSource = errors.New("source rpm")

// leadSize is the length of the lead every rpm file begins with. All of it but
// the magic is obsolete ("RPM V4 Package Format", "Lead").
const leadSize = 96

// Read reads the rpm file called name, of size bytes, from r to its end, and
// verifies the digests within: those of the header, and of the payload. A
// file that is truncated, damaged or without such digests is an error that
// names it. Memory holds the header, never the payload.
func Read(name string, r io.Reader, size int64) (Package, Details, error) {
	p, d, err := read(r, size)
	if err != nil {
		return Package{}, Details{}, fmt.Errorf("rpm %s: %w", name, err)
	}
	return p, d, nil
}

func read(r io.Reader, size int64) (Package, Details, error) {
	whole := sha256.New()
	in := &counter{r: io.TeeReader(r, whole)}
	h, err := readHeaders(in)
	if err != nil {
		return Package{}, Details{}, err
	}
	if err := h.verify(in, size); err != nil {
		return Package{}, Details{}, err
	}
	if in.n != size {
		return Package{}, Details{}, fmt.Errorf("%d bytes read of a file of %d: it changed", in.n, size)
	}
	p, err := h.identity()
	if err != nil {
		return Package{}, Details{}, err
	}
	p.Size, p.Digest = size, digest.NewDigest(digest.SHA256, whole)
	d, err := h.details()
	return p, d, err
}

// headers are the two header structures of an rpm file.
type headers struct {
	sig, main  section
	start, end int64 // of main in the file
}

// readHeaders reads lead, signature and main header, and leaves in at the
// payload.
func readHeaders(in *counter) (headers, error) {
	lead := make([]byte, leadSize)
	if _, err := io.ReadFull(in, lead); err != nil {
		return headers{}, truncated(err)
	}
	if !bytes.HasPrefix(lead, []byte("\xed\xab\xee\xdb")) {
		return headers{}, errors.New("not an rpm file")
	}
	var h headers
	var err error
	if h.sig, err = readSection(in); err != nil {
		return headers{}, fmt.Errorf("signature: %w", err)
	}
	// The signature is padded to a multiple of eight bytes, the main header is not.
	if _, err := io.CopyN(io.Discard, in, (8-in.n%8)%8); err != nil {
		return headers{}, truncated(err)
	}
	h.start = in.n
	if h.main, err = readSection(in); err != nil {
		return headers{}, fmt.Errorf("header: %w", err)
	}
	h.end = in.n
	return h, nil
}

// identity takes what names the package from its header.
func (h headers) identity() (Package, error) {
	if h.main.has(tagSourcePackage) || !h.main.has(tagSourceRPM) {
		return Package{}, ErrSource
	}
	name, err := nameOf(h.main)
	if err != nil {
		return Package{}, err
	}
	p := Package{Package: name, HeaderStart: h.start, HeaderEnd: h.end, header: digest.FromBytes(h.main.raw)}
	if p.BuildTime, err = h.main.number(tagBuildTime); err != nil {
		return Package{}, err
	}
	p.File = fmt.Sprintf("%s-%s-%s.%s.rpm", p.Name, p.Version, p.Release, p.Arch)
	return p, checkName(p.Package)
}

// nameOf takes name, epoch, version, release and arch from a header, "" where
// it does not say.
func nameOf(s section) (artifact.Package, error) {
	var p artifact.Package
	for tag, to := range map[uint32]*string{
		tagName: &p.Name, tagVersion: &p.Version, tagRelease: &p.Release, tagArch: &p.Arch,
	} {
		var err error
		if *to, err = s.text(tag); err != nil {
			return artifact.Package{}, err
		}
	}
	epochs, err := s.numbers(tagEpoch)
	if err != nil {
		return artifact.Package{}, err
	}
	if len(epochs) > 0 {
		p.Epoch = strconv.FormatInt(epochs[0], 10)
	}
	return p, nil
}

// checkName refuses what cannot be a package's name and version. They become
// file names, and arguments of the package manager, to which "-x", "@x" and
// "x*" mean something else (characters as rpm's build/parsePreamble.c has them).
func checkName(p artifact.Package) error {
	const inVersion = "._+%{}~^"
	for _, f := range []struct{ what, value, allowed string }{
		{"name", p.Name, inVersion + "-"},
		{"version", p.Version, inVersion},
		{"release", p.Release, inVersion},
		{"arch", p.Arch, "_"},
	} {
		bad := func(r rune) bool { return !isAlnum(r) && !strings.ContainsRune(f.allowed, r) }
		if f.value == "" || strings.ContainsFunc(f.value, bad) || strings.ContainsRune("-.~^%{}", rune(f.value[0])) {
			return fmt.Errorf("%s %q: not one a package can have", f.what, f.value)
		}
	}
	if _, err := strconv.ParseUint(p.Epoch, 10, 32); p.Epoch != "" && err != nil {
		return fmt.Errorf("epoch %q: not a number", p.Epoch)
	}
	return nil
}

func isAlnum(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

// Open opens the file of a package that Find found. The root it was found in
// must still be open.
func (p Package) Open() (*os.File, error) {
	d, name, err := p.root.OpenParent(p.From)
	if err != nil {
		return nil, err
	}
	defer func() { _ = d.Close() }()
	return d.Open(name)
}

// details reads the header of a package that Find found once more.
func (p Package) details() (Details, error) {
	f, err := p.Open()
	if err != nil {
		return Details{}, err
	}
	defer func() { _ = f.Close() }()
	h, err := readHeaders(&counter{r: f})
	if err != nil {
		return Details{}, fmt.Errorf("rpm %s: %w", p.From, err)
	}
	if digest.FromBytes(h.main.raw) != p.header {
		return Details{}, fmt.Errorf("rpm %s: it changed", p.From)
	}
	d, err := h.details()
	if err != nil {
		return Details{}, fmt.Errorf("rpm %s: %w", p.From, err)
	}
	return d, nil
}

// counter counts what was read through it.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}
