package pkgmgr

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"fmt"
	"io"
	"slices"
	"strings"
)

// WriteMetadata writes the metadata of a repository that holds pkgs, which Find or
// a Source returned, each at its File relative to the repository's directory: that
// of rpm-md for rpms, an index of apt for debs, both where it has both. A
// repository of nothing is one of rpms. create is called with the name of each
// file there ("repodata/...") and what writes its content. The bytes depend on the
// packages alone.
func WriteMetadata(pkgs []Package, create func(name string, write func(io.Writer) error) error) error {
	var rpms, debs []Package
	for _, p := range pkgs {
		if FormatOf(p.Package) == Deb {
			debs = append(debs, p)
		} else {
			rpms = append(rpms, p)
		}
	}
	if len(rpms) > 0 || len(debs) == 0 {
		if err := WriteRepodata(rpms, create); err != nil {
			return err
		}
	}
	if len(debs) == 0 {
		return nil
	}
	return writeAptIndex(debs, create)
}

// aptDate is the date of every Release file we write. apt keeps the one it has, and
// says nothing, if a new one is older, so the date of an older snapshot that is
// imported after a newer one would hide its packages; and it refuses one of the
// future, as it would be on a machine whose clock is not set yet.
const aptDate = "Sat, 01 Jan 2000 00:00:00 UTC"

// writeAptIndex writes the index of a flat repository (sources.list(5), "deb"; its
// files in deb822(5)), used as "deb [trusted=yes] file:/DIR repodata/". What apt
// takes from there it looks up relative to /DIR, not to the index.
func writeAptIndex(debs []Package, create func(name string, write func(io.Writer) error) error) error {
	debs = slices.Clone(debs)
	slices.SortFunc(debs, func(a, b Package) int { return cmp.Compare(a.File, b.File) })
	for i, p := range debs[1:] {
		if p.File == debs[i].File {
			return fmt.Errorf("repository: %s and %s would both be %s", debs[i].From, p.From, p.File)
		}
	}
	var sums strings.Builder
	for _, name := range []string{"Packages", "Packages.gz"} {
		err := create("repodata/"+name, func(w io.Writer) error {
			sum := newTally(w)
			if err := writeAptList(debs, sum, strings.HasSuffix(name, ".gz")); err != nil {
				return err
			}
			fmt.Fprintf(&sums, " %s %d %s\n", sum.hex(), sum.n, name)
			return nil
		})
		if err != nil {
			return fmt.Errorf("repository: %s: %w", name, err)
		}
	}
	err := create("repodata/Release", func(w io.Writer) error {
		// apt warns if the suite is another than the directory it reads.
		_, err := io.WriteString(w, "Origin: xcrate\nLabel: xcrate\nSuite: repodata\nDate: "+aptDate+"\nSHA256:\n"+sums.String())
		return err
	})
	if err != nil {
		return fmt.Errorf("repository: Release: %w", err)
	}
	return nil
}

// writeAptList writes the paragraphs of debs, packed or not. One is in memory at a
// time.
func writeAptList(debs []Package, w io.Writer, packed bool) error {
	out := bufio.NewWriterSize(w, 1<<16)
	var plain io.Writer = out
	pack := gzip.NewWriter(out)
	if packed {
		plain = pack
	}
	for _, p := range debs {
		c, err := p.paragraph()
		if err != nil {
			return err
		}
		if _, err := io.WriteString(plain, aptEntry(p, c)); err != nil {
			return err
		}
	}
	if packed {
		if err := pack.Close(); err != nil {
			return err
		}
	}
	return out.Flush()
}

// aptEntry is the paragraph of an index about p: its own, and where its file is and
// what it is. What a package says of these itself is not heard.
func aptEntry(p Package, c Paragraph) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Package: %s\n", p.Name)
	for _, f := range c.fields {
		switch strings.ToLower(f.name) {
		case "package", "status", "filename", "size", "md5sum", "sha1", "sha256", "sha512":
			continue
		}
		fmt.Fprintf(&b, "%s: %s\n", f.name, strings.Join(f.lines, "\n"))
	}
	fmt.Fprintf(&b, "Filename: %s\nSize: %d\nSHA256: %s\n\n", p.File, p.Size, p.Digest.Encoded())
	return b.String()
}
