// Package sbom lists what a snapshot and the program are made of, as SPDX 2.3 documents in
// JSON (spdx.github.io/spdx-spec/v2.3, ISO/IEC 5962), which other tools read.
package sbom

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/xcrate/xcrate/artifact"
)

// MediaType is that of a document.
const MediaType = "application/spdx+json"

// noAssertion is what SPDX says where nothing is said.
const noAssertion = "NOASSERTION"

type document struct {
	Version       string         `json:"spdxVersion"`
	License       string         `json:"dataLicense"`
	ID            string         `json:"SPDXID"`
	Name          string         `json:"name"`
	Namespace     string         `json:"documentNamespace"`
	Creation      creation       `json:"creationInfo"`
	Packages      []spdxPackage  `json:"packages"`
	Relationships []relationship `json:"relationships"`
}

type creation struct {
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

type spdxPackage struct {
	Name         string        `json:"name"`
	ID           string        `json:"SPDXID"`
	Version      string        `json:"versionInfo,omitempty"`
	FileName     string        `json:"packageFileName,omitempty"`
	Download     string        `json:"downloadLocation"`
	Analyzed     bool          `json:"filesAnalyzed"`
	Declared     string        `json:"licenseDeclared"`
	Concluded    string        `json:"licenseConcluded"`
	Copyright    string        `json:"copyrightText"`
	Checksums    []checksum    `json:"checksums,omitempty"`
	ExternalRefs []externalRef `json:"externalRefs,omitempty"`
	Comment      string        `json:"comment,omitempty"`
}

type checksum struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"checksumValue"`
}

type externalRef struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

type relationship struct {
	Element string `json:"spdxElementId"`
	Type    string `json:"relationshipType"`
	Related string `json:"relatedSpdxElement"`
}

const documentID = "SPDXRef-DOCUMENT"

func newDocument(name, identity, tool string, created time.Time) *document {
	return &document{
		Version: "SPDX-2.3", License: "CC0-1.0", ID: documentID, Name: name,
		Namespace: "https://spdx.org/spdxdocs/xcrate/" + digest.FromString(identity).Encoded(),
		Creation:  creation{created.UTC().Format(time.RFC3339), []string{"Tool: " + strings.ReplaceAll(tool, " ", "-")}},
		Packages:  []spdxPackage{}, Relationships: []relationship{},
	}
}

// add appends p, which stands in a relationship to whole.
func (d *document) add(p spdxPackage, whole, relation string) {
	p.ID = fmt.Sprintf("SPDXRef-%d", len(d.Packages))
	p.Download, p.Declared, p.Concluded, p.Copyright = cmp.Or(p.Download, noAssertion), noAssertion, noAssertion, noAssertion
	d.Packages = append(d.Packages, p)
	d.Relationships = append(d.Relationships, relationship{whole, relation, p.ID})
}

// Packages lists the packages of a snapshot: those it holds, and those of the distro that
// an import installs by name. Same config, same bytes.
func Packages(c artifact.Config) ([]byte, error) {
	d := newDocument("packages of "+c.Title(), c.Title()+c.Created.UTC().String()+c.Tool, c.Tool, c.Created)
	d.add(spdxPackage{Name: c.Host.Name, Version: c.Created.UTC().Format(time.RFC3339), Comment: c.Title()}, documentID, "DESCRIBES")
	whole := d.Packages[0].ID
	for _, p := range c.Packages {
		one := spdxPackage{Name: p.Name, Version: version(p), FileName: p.File, ExternalRefs: purl(c, p)}
		if p.Digest.Validate() == nil && p.Digest.Algorithm() == digest.SHA256 {
			one.Checksums = []checksum{{"SHA256", p.Digest.Encoded()}}
		}
		d.add(one, whole, "CONTAINS")
	}
	for _, p := range c.DistroPackages {
		d.add(spdxPackage{Name: p.Name, Version: version(p), ExternalRefs: purl(c, p), Comment: "of the distro: not in the snapshot"}, whole, "DEPENDS_ON")
	}
	return json.MarshalIndent(d, "", " ")
}

// version is [epoch:]version[-release].
func version(p artifact.Package) string {
	return strings.TrimSuffix(strings.TrimPrefix(p.NEVRA(), p.Name+"-"), "."+p.Arch)
}

// purl names a package as package URLs do (github.com/package-url/purl-spec, types rpm and
// deb).
func purl(c artifact.Config, p artifact.Package) []externalRef {
	kind, qualifiers := "rpm", url.Values{"arch": {p.Arch}}
	if strings.HasSuffix(p.File, ".deb") || strings.Contains(c.Host.Distro.ID+" "+c.Host.Distro.Like, "debian") {
		kind = "deb"
	}
	if p.Epoch != "" && p.Epoch != "0" {
		qualifiers.Set("epoch", p.Epoch)
	}
	p.Epoch = ""
	locator := fmt.Sprintf("pkg:%s/%s/%s@%s?%s", kind, url.PathEscape(c.Host.Distro.ID), url.PathEscape(p.Name), url.PathEscape(version(p)), qualifiers.Encode())
	return []externalRef{{"PACKAGE-MANAGER", "purl", locator}}
}

// Program lists the modules that a program was built of, as the build says. Same build,
// same version and time, same bytes.
func Program(info *debug.BuildInfo, version string, created time.Time) ([]byte, error) {
	d := newDocument("xcrate "+version, version+info.String(), "xcrate "+version, created)
	d.add(spdxPackage{Name: info.Main.Path, Version: version, ExternalRefs: golang(info.Main.Path, version)}, documentID, "DESCRIBES")
	whole := d.Packages[0].ID
	d.add(spdxPackage{Name: "stdlib", Version: strings.TrimPrefix(info.GoVersion, "go"), ExternalRefs: golang("stdlib", strings.TrimPrefix(info.GoVersion, "go"))}, whole, "DEPENDS_ON")
	deps := slices.Clone(info.Deps)
	slices.SortFunc(deps, func(a, b *debug.Module) int { return strings.Compare(a.Path, b.Path) })
	for _, m := range deps {
		if m.Replace != nil {
			m = m.Replace
		}
		one := spdxPackage{Name: m.Path, Version: m.Version, ExternalRefs: golang(m.Path, m.Version)}
		// The sum of go.sum is no digest of a file: it goes into the comment, but for its bytes.
		if raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(m.Sum, "h1:")); err == nil && len(raw) > 0 {
			one.Comment = "dirhash h1 (golang.org/x/mod/sumdb/dirhash): " + hex.EncodeToString(raw)
		}
		d.add(one, whole, "DEPENDS_ON")
	}
	return json.MarshalIndent(d, "", " ")
}

func golang(path, version string) []externalRef {
	return []externalRef{{"PACKAGE-MANAGER", "purl", "pkg:golang/" + path + "@" + url.PathEscape(version)}}
}
