package sbom

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"
)

// MediaType is that of the documents.
const MediaType = "application/spdx+json"

// noAssertion is what SPDX has in fields of which nothing is said.
const noAssertion = "NOASSERTION"

// documentID is the document itself, in relationships (6.3).
const documentID = "SPDXRef-DOCUMENT"

// Origin says what made a document, and when.
type Origin struct {
	Version string // of this program, "v1.2.0"
	Created time.Time
}

// document is an SPDX document (clause 6), with the fields that we fill. The order
// of the fields is that of the output.
type document struct {
	SPDXVersion   string         `json:"spdxVersion"`
	DataLicense   string         `json:"dataLicense"`
	SPDXID        string         `json:"SPDXID"`
	Name          string         `json:"name"`
	Namespace     string         `json:"documentNamespace"`
	Creation      creationInfo   `json:"creationInfo"`
	Packages      []spdxPackage  `json:"packages"`
	Relationships []relationship `json:"relationships"`

	ids map[string]int // of each identifier, how many packages wanted it
}

// creationInfo is 6.8 and 6.9.
type creationInfo struct {
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

// spdxPackage is a package (clause 7).
type spdxPackage struct {
	SPDXID           string        `json:"SPDXID"`
	Name             string        `json:"name"`
	Version          string        `json:"versionInfo,omitempty"`
	FileName         string        `json:"packageFileName,omitempty"`
	Purpose          string        `json:"primaryPackagePurpose,omitempty"`
	Supplier         string        `json:"supplier"`
	DownloadLocation string        `json:"downloadLocation"`
	FilesAnalyzed    bool          `json:"filesAnalyzed"`
	Checksums        []checksum    `json:"checksums,omitempty"`
	SourceInfo       string        `json:"sourceInfo,omitempty"`
	LicenseConcluded string        `json:"licenseConcluded"`
	LicenseDeclared  string        `json:"licenseDeclared"`
	CopyrightText    string        `json:"copyrightText"`
	Summary          string        `json:"summary,omitempty"`
	Comment          string        `json:"comment,omitempty"`
	ExternalRefs     []externalRef `json:"externalRefs,omitempty"`
}

// checksum is 7.10.
type checksum struct {
	Algorithm string `json:"algorithm"` // "SHA256"
	Value     string `json:"checksumValue"`
}

// externalRef is 7.21.
type externalRef struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

// relationship is clause 11.
type relationship struct {
	Element string `json:"spdxElementId"`
	Type    string `json:"relationshipType"`
	Related string `json:"relatedSpdxElement"`
	Comment string `json:"comment,omitempty"`
}

// newDocument begins a document about one thing, and returns the identifier of
// that thing.
func newDocument(name string, by Origin, about spdxPackage) (*document, string) {
	d := &document{
		SPDXVersion: "SPDX-2.3",
		DataLicense: "CC0-1.0", // of the document; SPDX allows no other (6.2)
		SPDXID:      documentID,
		Name:        oneLine(name),
		Creation: creationInfo{
			Created:  by.Created.UTC().Format("2006-01-02T15:04:05Z"), // no fraction (6.9)
			Creators: []string{oneLine("Tool: xcrate-" + by.Version)},
		},
		ids: map[string]int{},
	}
	id := d.add(about)
	d.relate(documentID, "DESCRIBES", id, "")
	return d, id
}

// add takes a package in and returns its identifier, which is made of its name and
// version. What SPDX wants to be said of every package is said here.
func (d *document) add(p spdxPackage) string {
	p.Name, p.Version, p.FileName = oneLine(p.Name), oneLine(p.Version), oneLine(p.FileName)
	p.SPDXID = d.unused("SPDXRef-" + idString(p.Name+"-"+p.Version))
	p.Supplier, p.DownloadLocation = noAssertion, noAssertion
	p.LicenseConcluded, p.LicenseDeclared, p.CopyrightText = noAssertion, noAssertion, noAssertion
	d.Packages = append(d.Packages, p)
	return p.SPDXID
}

func (d *document) relate(from, how, to, comment string) {
	d.Relationships = append(d.Relationships, relationship{from, how, to, comment})
}

// unused is id, or id with a number if another package has it: two names may differ
// in nothing but what an identifier cannot hold.
func (d *document) unused(id string) string {
	for free := id; ; free = fmt.Sprintf("%s-%d", id, d.ids[id]) {
		if d.ids[free] == 0 {
			d.ids[free] = 1
			return free
		}
		d.ids[id]++
	}
}

// encode is the document as bytes. Its namespace has to be unique for the document
// (6.5), so it is made of the digest of all the rest.
func (d *document) encode() ([]byte, error) {
	rest, err := encode(d)
	if err != nil {
		return nil, err
	}
	d.Namespace = fmt.Sprintf("https://spdx.org/spdxdocs/%s-%x", idString(d.Name), sha256.Sum256(rest))
	return encode(d)
}

func encode(d *document) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // the "&" of package URLs
	enc.SetIndent("", " ")
	if err := enc.Encode(d); err != nil {
		return nil, fmt.Errorf("bill of materials %q: %w", d.Name, err)
	}
	return b.Bytes(), nil
}

// idString has of s what an identifier may hold (7.2), and "-" for the rest.
func idString(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '.', r == '-':
			return r
		default:
			return '-'
		}
	}, s)
}

// oneLine has of s what a single line of text may hold: names come from a snapshot,
// which is foreign.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}
