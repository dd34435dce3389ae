package pkgmgr

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/xcrate/xcrate/artifact"
)

// FormatOf is the format of the file of p, by how File ends. A package without
// one, as Installed lists them, counts as an rpm: whose database was read says
// what it is.
func FormatOf(p artifact.Package) Format { return formatOf(p.File) }

func formatOf(file string) Format {
	if strings.HasSuffix(file, ".deb") {
		return Deb
	}
	return RPM
}

// isPackage reports whether a file has the name of a package.
func isPackage(file string) bool {
	return strings.HasSuffix(file, ".rpm") || strings.HasSuffix(file, ".deb")
}

// passedOver says what sort of package a file has the name of that no import
// installs, and why it does not. what is "" for all others.
func passedOver(file string) (what, why string) {
	for _, sort := range []struct{ suffix, what, why string }{
		{".src.rpm", "source rpm", "an import installs no sources"},
		{".nosrc.rpm", "source rpm", "an import installs no sources"},
		{".drpm", "delta rpm", "it is no package without an older one"},
		{".dsc", "source deb", "an import installs no sources"},
		{".udeb", "udeb", "it is for the installer of a distro only"},
		{".ddeb", "debug symbols", "an import installs none"},
	} {
		if strings.HasSuffix(file, sort.suffix) {
			return sort.what, sort.why
		}
	}
	return "", ""
}

// readPackage is Read or ReadDeb, by what the file begins with: what a symlink
// leads to may have any name. Only where that is neither does the name decide, so
// that the error says what was expected.
func readPackage(name string, r io.Reader, size int64) (Package, error) {
	in := bufio.NewReader(r)
	if isDeb(name, in) {
		p, _, err := ReadDeb(name, in, size)
		return p, err
	}
	p, _, err := Read(name, in, size)
	return p, err
}

// peekPackage reads no more of a package than what names it. Nothing of it is
// verified.
func peekPackage(name string, r io.Reader) (p artifact.Package, err error) {
	in := bufio.NewReader(r)
	if isDeb(name, in) {
		p, err = peekDeb(in)
	} else {
		var h headers
		var pkg Package
		if h, err = readHeaders(&counter{r: in}); err == nil {
			pkg, err = h.identity()
		}
		p = pkg.Package
	}
	if err != nil {
		return p, fmt.Errorf("%s %s: %w", formatOf(name), name, err)
	}
	return p, nil
}

// isDeb looks at how a package begins. A file that is shorter, or cannot be read,
// is named by the one that reads it.
func isDeb(name string, in *bufio.Reader) bool {
	magic, _ := in.Peek(len(arMagic))
	return bytes.Equal(magic, []byte(arMagic)) || formatOf(name) == Deb
}
