package pkgmgr

import (
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
)

// neededFiles are the paths that packages require, with the digest of the package
// that does, "" where there are several.
type neededFiles map[string]digest.Digest

// filesNeeded gathers what packages require by path.
func filesNeeded(pkgs []Package) (neededFiles, error) {
	needed := neededFiles{}
	for _, p := range pkgs {
		d, err := p.details()
		if err != nil {
			return nil, err
		}
		for _, r := range requires(d) {
			if !strings.HasPrefix(r.Name, "/") {
				continue
			}
			if by, ok := needed[r.Name]; ok && by != p.Digest {
				needed[r.Name] = ""
			} else {
				needed[r.Name] = p.Digest
			}
		}
	}
	return needed, nil
}

// by reports whether a package other than p requires path.
func (n neededFiles) by(path string, p Package) bool {
	by, ok := n[path]
	return ok && by != p.Digest
}

// writePrimary writes what a solver needs of a package: the elements, their
// order and what is left out of them are as createrepo_c has them, but for files
// that another package requires: zypper does not look for those in the file list.
func (n neededFiles) writePrimary(x *xmlWriter, p Package, d Details) {
	x.open("package", "type", "rpm")
	x.text("name", p.Name)
	x.text("arch", p.Arch)
	x.empty("version", versionAttrs(p)...)
	x.text("checksum", p.Digest.Encoded(), "type", "sha256", "pkgid", "YES")
	x.text("summary", d.Summary)
	x.text("description", d.Description)
	x.text("packager", d.Packager)
	x.text("url", d.URL)
	// The file's own time is a matter of when it was copied.
	x.empty("time", "file", fmt.Sprint(p.BuildTime), "build", fmt.Sprint(p.BuildTime))
	x.empty("size", "package", fmt.Sprint(p.Size), "installed", fmt.Sprint(d.InstalledSize), "archive", fmt.Sprint(d.ArchiveSize))
	x.empty("location", "href", p.File) // as it is: dnf and createrepo_c know no escapes here
	x.open("format")
	x.text("rpm:license", d.License)
	x.text("rpm:vendor", d.Vendor)
	x.text("rpm:group", d.Group)
	x.text("rpm:buildhost", d.BuildHost)
	x.text("rpm:sourcerpm", d.SourceRPM)
	x.empty("rpm:header-range", "start", fmt.Sprint(p.HeaderStart), "end", fmt.Sprint(p.HeaderEnd))
	writeRelations(x, "provides", d.Provides)
	writeRelations(x, "requires", requires(d))
	writeRelations(x, "conflicts", d.Conflicts)
	writeRelations(x, "obsoletes", d.Obsoletes)
	writeRelations(x, "suggests", d.Suggests)
	writeRelations(x, "enhances", d.Enhances)
	writeRelations(x, "recommends", d.Recommends)
	writeRelations(x, "supplements", d.Supplements)
	for _, f := range d.Files {
		if isPrimary(f.Path) || n.by(f.Path, p) {
			writeFile(x, f)
		}
	}
	x.end("format")
	x.end("package")
}

func versionAttrs(p Package) []string {
	epoch := p.Epoch
	if epoch == "" {
		epoch = "0"
	}
	return []string{"epoch", epoch, "ver", p.Version, "rel", p.Release}
}

func writeRelations(x *xmlWriter, kind string, all []Dependency) {
	if len(all) == 0 {
		return
	}
	x.open("rpm:" + kind)
	for _, d := range all {
		attrs := []string{"name", d.Name}
		for _, a := range [][2]string{{"flags", d.Flags}, {"epoch", d.Epoch}, {"ver", d.Version}, {"rel", d.Release}} {
			if a[1] != "" {
				attrs = append(attrs, a[0], a[1])
			}
		}
		if d.Pre {
			attrs = append(attrs, "pre", "1")
		}
		x.empty("rpm:entry", attrs...)
	}
	x.end("rpm:" + kind)
}

// requires leaves out what no repository has to offer: what rpm itself must be
// able to do, what the package provides itself, and what is said twice. All
// versions of libc's symbols stay, of which createrepo_c keeps the highest.
func requires(d Details) []Dependency {
	own := map[string]bool{}
	for _, f := range d.Files {
		own[f.Path] = isPrimary(f.Path)
	}
	provided := map[Dependency]bool{}
	for _, p := range d.Provides {
		provided[p] = true
	}
	seen := map[Dependency]bool{}
	return slices.DeleteFunc(slices.Clone(d.Requires), func(r Dependency) bool {
		bare := r
		bare.Pre = false
		drop := strings.HasPrefix(r.Name, "rpmlib(") || own[r.Name] || provided[bare] || seen[r]
		seen[r] = true
		return drop
	})
}

// isPrimary reports whether the primary list names a file: those that packages
// commonly require by path. All are in the file list.
func isPrimary(p string) bool {
	return strings.HasPrefix(p, "/etc/") || p == "/usr/lib/sendmail" || strings.Contains(p, "bin/")
}

func writeFile(x *xmlWriter, f File) {
	switch {
	case f.Dir:
		x.text("file", f.Path, "type", "dir")
	case f.Ghost:
		x.text("file", f.Path, "type", "ghost")
	default:
		x.text("file", f.Path)
	}
}

// writeFilelists writes every path a package owns.
func writeFilelists(x *xmlWriter, p Package, d Details) {
	x.open("package", "pkgid", p.Digest.Encoded(), "name", p.Name, "arch", p.Arch)
	x.empty("version", versionAttrs(p)...)
	for _, f := range d.Files {
		writeFile(x, f)
	}
	x.end("package")
}

// maxChangelogs is how many entries of a changelog the list has, as many as
// createrepo_c takes without being told.
const maxChangelogs = 10

// writeOther writes the newest entries of a package's changelog, oldest first.
func writeOther(x *xmlWriter, p Package, d Details) {
	x.open("package", "pkgid", p.Digest.Encoded(), "name", p.Name, "arch", p.Arch)
	x.empty("version", versionAttrs(p)...)
	logs := slices.Clone(d.Changelogs[:min(len(d.Changelogs), maxChangelogs)])
	slices.Reverse(logs)
	var last int64
	for _, c := range logs {
		// Readers sort by time: entries of one day stay in order a second apart.
		last = max(c.Time, last+1)
		x.text("changelog", c.Text, "author", strings.TrimRight(c.Author, " "), "date", fmt.Sprint(last))
	}
	x.end("package")
}
