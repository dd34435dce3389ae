package pkgmgr

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
)

const (
	dpkgStatus    = "/var/lib/dpkg/status"
	maxDpkgStatus = 256 << 20 // fifty times that of a large desktop
)

// readDpkg lists what dpkg's status file (deb-control(5), dpkg(1) "PACKAGE
// STATES") has as installed, in its order. The error is ErrNone where there is
// no such file.
func readDpkg(root *host.Root) ([]Installed, error) {
	b, err := root.ReadFile(dpkgStatus, maxDpkgStatus)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("root %s: %w: it has no package database", root.Dir(), ErrNone)
	}
	if err != nil {
		return nil, fmt.Errorf("dpkg database %s: %w", root.Path(dpkgStatus), err)
	}
	all, err := parseDpkg(string(b))
	if err != nil {
		return nil, fmt.Errorf("dpkg database %s: %w", root.Path(dpkgStatus), err)
	}
	return all, nil
}

// parseDpkg reads the paragraphs of a status file.
func parseDpkg(status string) ([]Installed, error) {
	var all []Installed
	for in := newParagraphs(strings.NewReader(status)); ; {
		paragraph, err := in.next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		p, ok, err := dpkgPackage(paragraph)
		if err != nil {
			return nil, fmt.Errorf("paragraph that ends in line %d: %w", in.number, err)
		}
		if ok {
			all = append(all, p)
		}
	}
}

// dpkgPackage reports of a paragraph what package it is, and whether that is
// installed: one that waits for triggers is, one that is unpacked and not yet
// configured is not.
func dpkgPackage(fields Paragraph) (Installed, bool, error) {
	name, version, arch := fields.Get("Package"), fields.Get("Version"), fields.Get("Architecture")
	status := strings.Fields(fields.Get("Status"))
	if name == "" || len(status) != 3 {
		return Installed{}, false, fmt.Errorf("package %q with status %q", name, fields.Get("Status"))
	}
	switch status[2] {
	case "installed", "triggers-awaited", "triggers-pending":
	default:
		return Installed{}, false, nil
	}
	if version == "" || arch == "" {
		return Installed{}, false, fmt.Errorf("package %q without version or architecture", name)
	}
	p := Installed{Package: artifact.Package{Name: name, Arch: arch}, Packager: fields.Get("Maintainer")}
	p.Epoch, p.Version, p.Release = splitDebVersion(version)
	return p, true, nil
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
