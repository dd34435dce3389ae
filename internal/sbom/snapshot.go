package sbom

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/xcrate/xcrate/artifact"
)

const (
	notInstalled = "lies in the repository of the snapshot; an import does not install it"
	notContained = "not contained: a package of the distro, which an import installs by name from the repositories of the target"
)

// Snapshot is the bill of materials of the packages of a snapshot. Those that the
// snapshot only names are prerequisites and say so. What trees and the database hold
// is in the catalog, file by file, and not here.
func Snapshot(c artifact.Config, by Origin) ([]byte, error) {
	created := c.Created.UTC().Format(time.RFC3339)
	about := spdxPackage{
		Name:    "snapshot-" + c.Host.Name,
		Version: created,
		Purpose: "ARCHIVE",
		Summary: oneLine(fmt.Sprintf("%s %s on %s %s, %s",
			c.Stack.Name, c.Stack.Version, c.Host.Distro.ID, c.Host.Distro.Version, c.Host.Arch)),
	}
	if len(c.MissingPackages) > 0 {
		about.Comment = oneLine("not contained: packages of the stack that were installed on the host and found nowhere: " +
			strings.Join(c.MissingPackages, ", "))
	}
	d, snapshot := newDocument(about.Name+"-"+created, by, about)
	kind, distro := packageKind(c), strings.ToLower(c.Host.Distro.ID)
	for _, p := range sorted(c.Packages) {
		described, err := osPackage(p, kind, distro)
		if err != nil {
			return nil, err
		}
		if !p.Install {
			described.Comment = notInstalled
		}
		d.relate(snapshot, "CONTAINS", d.add(described), "")
	}
	for _, p := range sorted(c.DistroPackages) {
		described, err := osPackage(p, kind, distro)
		if err != nil {
			return nil, err
		}
		described.Comment = notContained
		d.relate(snapshot, "HAS_PREREQUISITE", d.add(described), "not contained")
	}
	return d.encode()
}

// sorted brings packages into an order that does not depend on how they were found.
func sorted(packages []artifact.Package) []artifact.Package {
	all := slices.Clone(packages)
	slices.SortStableFunc(all, func(a, b artifact.Package) int {
		return cmp.Or(cmp.Compare(a.NEVRA(), b.NEVRA()), cmp.Compare(a.File, b.File))
	})
	return all
}

// packageKind is what the packages of a snapshot are, "rpm" or "deb", as their files
// tell. A snapshot without files has only the names that its distro goes by.
func packageKind(c artifact.Config) string {
	for _, p := range c.Packages {
		switch path.Ext(p.File) {
		case ".deb":
			return "deb"
		case ".rpm":
			return "rpm"
		}
	}
	family := strings.Fields(c.Host.Distro.ID + " " + c.Host.Distro.Like)
	if slices.Contains(family, "debian") || slices.Contains(family, "ubuntu") {
		return "deb"
	}
	return "rpm"
}

// osPackage describes an rpm or deb.
func osPackage(p artifact.Package, kind, distro string) (spdxPackage, error) {
	epoch, version := p.Epoch, p.Version
	if epoch == "0" {
		epoch = "" // which is the same
	}
	if p.Release != "" {
		version += "-" + p.Release
	}
	full := version
	if epoch != "" {
		full = epoch + ":" + version
	}
	// An rpm's epoch is a qualifier, a deb's is a part of its version.
	url := packageURL(kind, []string{distro, p.Name}, version, [2]string{"arch", p.Arch}, [2]string{"epoch", epoch})
	if kind == "deb" {
		url = packageURL(kind, []string{distro, strings.ToLower(p.Name)}, full, [2]string{"arch", p.Arch})
	}
	described := spdxPackage{
		Name: p.Name, Version: full, Purpose: "INSTALL",
		FileName:     p.File,
		Summary:      oneLine(p.NEVRA()),
		ExternalRefs: []externalRef{url},
	}
	if p.Digest == "" {
		return described, nil
	}
	if err := p.Digest.Validate(); err != nil {
		return spdxPackage{}, fmt.Errorf("package %q: digest %q: %w", p.Name, p.Digest, err)
	}
	described.Checksums = []checksum{{strings.ToUpper(string(p.Digest.Algorithm())), p.Digest.Encoded()}}
	return described, nil
}
