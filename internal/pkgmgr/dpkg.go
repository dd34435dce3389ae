package pkgmgr

import (
	"errors"
	"fmt"
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

// parseDpkg reads paragraphs of fields. Lines that begin with a blank go on
// with a field that is of no interest here.
func parseDpkg(status string) ([]Installed, error) {
	var all []Installed
	fields := map[string]string{}
	number := 0
	// A last empty line ends the last paragraph.
	for line := range strings.SplitSeq(status+"\n", "\n") {
		number++
		switch {
		case strings.TrimSpace(line) == "":
			p, ok, err := dpkgPackage(fields)
			if err != nil {
				return nil, fmt.Errorf("paragraph that ends in line %d: %w", number, err)
			}
			if ok {
				all = append(all, p)
			}
			clear(fields)
		case line[0] == ' ' || line[0] == '\t':
		default:
			name, value, ok := strings.Cut(line, ":")
			if !ok {
				return nil, fmt.Errorf("line %d: no field: %.100q", number, line)
			}
			name = strings.ToLower(name)
			if _, twice := fields[name]; twice {
				return nil, fmt.Errorf("line %d: field %q twice", number, name)
			}
			fields[name] = strings.TrimSpace(value)
		}
	}
	return all, nil
}

// dpkgPackage reports of a paragraph what package it is, and whether that is
// installed: one that waits for triggers is, one that is unpacked and not yet
// configured is not.
func dpkgPackage(fields map[string]string) (Installed, bool, error) {
	if len(fields) == 0 {
		return Installed{}, false, nil
	}
	status := strings.Fields(fields["status"])
	if fields["package"] == "" || len(status) != 3 {
		return Installed{}, false, fmt.Errorf("package %q with status %q", fields["package"], fields["status"])
	}
	switch status[2] {
	case "installed", "triggers-awaited", "triggers-pending":
	default:
		return Installed{}, false, nil
	}
	if fields["version"] == "" || fields["architecture"] == "" {
		return Installed{}, false, fmt.Errorf("package %q without version or architecture", fields["package"])
	}
	p := Installed{Package: artifact.Package{Name: fields["package"], Arch: fields["architecture"]}, Packager: fields["maintainer"]}
	p.Epoch, p.Version, p.Release = splitDebVersion(fields["version"])
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
