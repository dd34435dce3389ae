package pkgmgr

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
)

const (
	dpkgStatus    = "/var/lib/dpkg/status"
	maxDpkgStatus = 256 << 20 // fifty times that of a large desktop
)

// dpkgDB is the package database of dpkg, as it was when it was opened: dpkg
// puts each of its files in place by rename.
type dpkgDB struct {
	root       *host.Root
	status     string
	diversions map[string]diversion // by path a package has
}

// openDpkg reads the database of root. The error is fs.ErrNotExist where there
// is none.
func openDpkg(root *host.Root) (*dpkgDB, error) {
	db := &dpkgDB{root: root}
	b, err := root.ReadFile(dpkgStatus, maxDpkgStatus)
	if err != nil {
		return nil, db.fail(err)
	}
	db.status = string(b)
	db.diversions, err = readDiversions(root)
	return db, db.fail(err)
}

func (db *dpkgDB) fail(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("dpkg database %s: %w", db.root.Path(dpkgStatus), err)
}

// installed lists what the status file (deb-control(5), dpkg(1) "PACKAGE
// STATES") has as installed, in its order.
func (db *dpkgDB) installed() ([]Installed, error) {
	all, err := parseDpkg(db.status)
	return all, db.fail(err)
}

func parseDpkg(status string) ([]Installed, error) {
	var all []Installed
	err := eachDpkg(status, func(p dpkgPackage) error {
		if p.isInstalled() {
			all = append(all, p.Installed)
		}
		return nil
	})
	return all, err
}

// eachDpkg calls fn with every package of status.
func eachDpkg(status string, fn func(dpkgPackage) error) error {
	for in := newParagraphs(strings.NewReader(status)); ; {
		fields, err := in.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		p, err := newDpkgPackage(fields)
		if err != nil {
			return fmt.Errorf("paragraph that ends in line %d: %w", in.number, err)
		}
		if err := fn(p); err != nil {
			return err
		}
	}
}

// dpkgPackage is a package of the status file, which need not be installed.
type dpkgPackage struct {
	Installed
	state string // the third word of its status
	// same says that several architectures of it may be there at once: what
	// dpkg keeps of it has the architecture in its name.
	same      bool
	conffiles []string // lines of the field
}

func newDpkgPackage(fields Paragraph) (dpkgPackage, error) {
	name, version, arch := fields.Get("Package"), fields.Get("Version"), fields.Get("Architecture")
	status := strings.Fields(fields.Get("Status"))
	if name == "" || len(status) != 3 {
		return dpkgPackage{}, fmt.Errorf("package %q with status %q", name, fields.Get("Status"))
	}
	p := dpkgPackage{state: status[2], same: fields.Get("Multi-Arch") == "same"}
	if conffiles := fields.lines("Conffiles"); len(conffiles) > 0 {
		p.conffiles = conffiles[1:] // the first line of the field is empty
	}
	if p.isInstalled() && (version == "" || arch == "") {
		return dpkgPackage{}, fmt.Errorf("package %q without version or architecture", name)
	}
	p.Package = artifact.Package{Name: name, Arch: arch}
	p.Packager = fields.Get("Maintainer")
	p.Epoch, p.Version, p.Release = splitDebVersion(version)
	return p, nil
}

// isInstalled reports whether the package is installed: one that waits for
// triggers is, one that is unpacked and not yet configured is not.
func (p dpkgPackage) isInstalled() bool {
	return slices.Contains([]string{"installed", "triggers-awaited", "triggers-pending"}, p.state)
}

// splitDebVersion cuts [EPOCH:]VERSION[-REVISION] at the first colon and the
// last hyphen (deb-version(7)).
func splitDebVersion(s string) (epoch, version, revision string) {
	if before, after, ok := strings.Cut(s, ":"); ok {
		epoch, s = before, after
	}
	if i := strings.LastIndexByte(s, '-'); i >= 0 {
		return epoch, s[:i], s[i+1:]
	}
	return epoch, s, ""
}
