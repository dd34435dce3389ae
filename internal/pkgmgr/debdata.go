package pkgmgr

import (
	"archive/tar"
	"bufio"
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"github.com/xcrate/xcrate/artifact"
)

// maxDebSums bounds the file of digests in a deb: a package of a hundred thousand
// files has ten megabytes of them.
const maxDebSums = 16 << 20

// debSums are the MD5 digests of a package's files by path, with a slash before
// it. They show damage, and nothing else is asked of them.
type debSums map[string][md5.Size]byte

// readDebSums reads the control file md5sums (deb-md5sums(5)). Names are as
// md5sum(1) writes them, where a line that begins with a backslash has escapes in
// its name, or as debhelper does, which undoes them.
func readDebSums(in io.Reader) (debSums, error) {
	sums := debSums{}
	lines := bufio.NewScanner(newBounded(in, maxDebSums))
	for n := 1; lines.Scan(); n++ {
		line, escaped := strings.CutPrefix(lines.Text(), `\`)
		if line == "" {
			continue
		}
		sum, name, ok := strings.Cut(line, " ")
		var b [md5.Size]byte
		if !ok || len(sum) != hex.EncodedLen(len(b)) {
			return nil, fmt.Errorf("line %d: no digest and name", n)
		}
		if _, err := hex.Decode(b[:], []byte(sum)); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		name = strings.TrimPrefix(strings.TrimPrefix(name, " "), "*") // a second blank is text, a star binary
		if escaped {
			name = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\r`, "\r").Replace(name)
		}
		sums[path.Clean("/"+name)] = b
	}
	return sums, lines.Err()
}

// readDebData reads a deb from its data to its end, and compares the files with
// sums. A file that has no digest there, as configuration files have none, and a
// digest without a file are no damage: dpkg installs either.
func readDebData(ar *arReader, sums debSums) error {
	err := eachDebFile(ar, "data.tar", maxTarball, func(h *tar.Header, in io.Reader) error {
		want, listed := sums[path.Clean("/"+h.Name)]
		switch {
		case !listed:
		case h.Typeflag == tar.TypeReg:
			sum := md5.New()
			if _, err := io.Copy(sum, in); err != nil {
				return err
			}
			if got := sum.Sum(nil); !bytes.Equal(got, want[:]) {
				return fmt.Errorf("MD5 digest %x, the package says %x", got, want)
			}
		case h.Typeflag == tar.TypeLink:
			target := path.Clean("/" + h.Linkname) // whose content was compared
			if first, ok := sums[target]; ok && first != want {
				return fmt.Errorf("MD5 digest %x, that of the package for its other name %s is %x", want, target, first)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	// What comes after the data is for others than dpkg: signatures of debsigs.
	for {
		if _, err := ar.next(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// checkDebName refuses what cannot be a package's name and version (Debian policy,
// 5.6.1, 5.6.8 and 5.6.12). They become file names and arguments of apt, to which
// "-x", "x*" and "x/y" mean something else.
func checkDebName(p artifact.Package) error {
	const lower, upper, digits = "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"
	for _, f := range []struct{ what, value, first, others string }{
		{"name", p.Name, lower + digits, "+-."},
		{"version", p.Version, lower + upper + digits, "+-.~"},
		{"revision", p.Release, lower + upper + digits, "+.~"},
		{"architecture", p.Arch, lower + digits, "-"},
	} {
		if f.what == "revision" && f.value == "" {
			continue // a package that is made for Debian alone
		}
		bad := func(r rune) bool { return !strings.ContainsRune(f.first+f.others, r) }
		if f.value == "" || strings.ContainsFunc(f.value, bad) || !strings.Contains(f.first, f.value[:1]) {
			return fmt.Errorf("%s %.200q: not one a package can have", f.what, f.value)
		}
	}
	if _, err := strconv.ParseUint(p.Epoch, 10, 31); p.Epoch != "" && err != nil {
		return fmt.Errorf("epoch %.20q: not a number", p.Epoch)
	}
	return nil
}

// DebArch is what dpkg calls the architecture that rpm calls arch: "amd64" for
// "x86_64". One that it calls the same is returned as it is.
func DebArch(arch string) string {
	if deb, ok := map[string]string{
		"x86_64": "amd64", "aarch64": "arm64", "ppc64le": "ppc64el", "i686": "i386", "armv7hl": "armhf",
	}[arch]; ok {
		return deb
	}
	return arch
}
