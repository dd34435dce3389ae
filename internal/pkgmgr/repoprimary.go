package pkgmgr

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/xcrate/xcrate/artifact"
)

// Bounds of a primary list. EPEL's, one of the largest, has 25,000 packages in
// 100 MB; one package has a few kilobytes, a megabyte at most.
const (
	maxPrimary        = 4 << 30 // unpacked, and packed
	maxPrimaryPackage = 32 << 20
	maxPackages       = 1_000_000
)

// primaryPackage is what we read of a package in the primary list.
type primaryPackage struct {
	Type    string `xml:"type,attr"`
	Name    string `xml:"name"`
	Arch    string `xml:"arch"`
	Version struct {
		Epoch   string `xml:"epoch,attr"`
		Version string `xml:"ver,attr"`
		Release string `xml:"rel,attr"`
	} `xml:"version"`
	Checksum struct {
		Type  string `xml:"type,attr"`
		Value string `xml:",chardata"`
	} `xml:"checksum"`
	Size struct {
		Package int64 `xml:"package,attr"`
	} `xml:"size"`
	Location struct {
		Base string `xml:"base,attr"`
		Href string `xml:"href,attr"`
	} `xml:"location"`
}

// parsePrimary calls each for every package of a primary list, packed or not.
// One package is in memory at a time.
func parsePrimary(in io.Reader, each func(primaryPackage) error) error {
	plain, done, err := unpack(in)
	if err != nil {
		return err
	}
	defer done()
	one := newBounded(newBounded(plain, maxPrimary), maxPrimaryPackage)
	d := xml.NewDecoder(one)
	seen := false
	for depth, n := 0, 0; ; {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) && seen {
			return nil
		}
		if err != nil {
			return err
		}
		switch el := tok.(type) {
		case xml.StartElement:
			if depth == 0 && el.Name.Local != "metadata" {
				return fmt.Errorf("element %.40q: no primary list", el.Name.Local)
			}
			seen = true
			if depth != 1 || el.Name.Local != "package" {
				depth++
				continue
			}
			if n++; n > maxPackages {
				return fmt.Errorf("more than %d packages", maxPackages)
			}
			var p primaryPackage
			if err := d.DecodeElement(&p, &el); err != nil {
				return err
			}
			if err := each(p); err != nil {
				return fmt.Errorf("package %d: %w", n, err)
			}
			one.again()
		case xml.EndElement:
			depth--
		}
	}
}

// offer is the package as a source offers it.
func (p primaryPackage) offer() (Offer, error) {
	o := Offer{Package: artifact.Package{
		Name: p.Name, Version: p.Version.Version, Release: p.Version.Release, Arch: p.Arch, Size: max(p.Size.Package, 0),
		File: fmt.Sprintf("%s-%s-%s.%s.rpm", p.Name, p.Version.Version, p.Version.Release, p.Arch),
	}}
	// The metadata has 0 where the rpm has none, and both are equal.
	if n, err := strconv.Atoi(p.Version.Epoch); err != nil || n != 0 {
		o.Epoch = p.Version.Epoch
	}
	if err := checkName(o.Package); err != nil {
		return Offer{}, err
	}
	sum, err := newRemoteDigest(p.Checksum.Type, p.Checksum.Value)
	if err != nil {
		return Offer{}, fmt.Errorf("%s: %w", o.NEVRA(), err)
	}
	loc, err := checkLocation(p.Location.Href)
	if err != nil {
		return Offer{}, fmt.Errorf("%s: %w", o.NEVRA(), err)
	}
	o.Digest, o.file = sum.recorded(), remoteFile{loc, o.Size, sum}
	return o, nil
}
