package sbom

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/xcrate/xcrate/artifact"
)

var update = flag.Bool("update", false, "write the golden documents in testdata anew")

// madeBy has a time zone and a fraction, which SPDX does not allow.
func madeBy() Origin {
	return Origin{Version: "v1.2.0", Created: time.Date(2026, 3, 1, 1, 30, 0, 999, time.FixedZone("", 2*3600))}
}

func sampleBuild() *debug.BuildInfo {
	return &debug.BuildInfo{
		GoVersion: "go1.26.8 X:something",
		Main:      debug.Module{Path: "github.com/xcrate/xcrate", Version: "(devel)"},
		Deps: []*debug.Module{
			{Path: "github.com/ProtonMail/go-crypto", Version: "v1.5.2", Sum: "h1:cucYnvqcY7UOXVD//mSyjeaPY0SSN3v5cDkYPxumINk="},
			{Path: "example.com/old", Version: "v2.0.0+incompatible", Replace: &debug.Module{Path: "example.com/fork", Version: "v2.0.1", Sum: "h1:AAAA="}},
			{Path: "example.com/here", Version: "v0.1.0", Replace: &debug.Module{Path: "../here"}},
		},
		Settings: []debug.BuildSetting{{Key: "GOARCH", Value: "ppc64le"}, {Key: "GOOS", Value: "linux"}},
	}
}

// sampleRPMs has the packages out of order, an epoch, one that is not installed, and one name twice.
func sampleRPMs() artifact.Config {
	sum := func(s string) digest.Digest { return digest.FromString(s) }
	return artifact.Config{
		Format: artifact.FormatVersion, Created: time.Date(2026, 2, 28, 12, 0, 0, 0, time.UTC), Tool: "xcrate v1.1.0",
		Host:  artifact.Host{Name: "mn1", Arch: "x86_64", Distro: artifact.Distro{ID: "Rocky", Like: "rhel centos fedora", Version: "9.6"}},
		Stack: artifact.Stack{Name: "xcat", Version: "2.17.0"},
		Packages: []artifact.Package{
			{Name: "xCAT", Epoch: "4", Version: "2.17.0", Release: "snap1", Arch: "x86_64", File: "Packages/xCAT-2.17.0-snap1.x86_64.rpm", Digest: sum("a"), Install: true},
			{Name: "perl-xCAT++", Epoch: "0", Version: "2.17.0~rc1^git", Release: "1", Arch: "noarch", File: "Packages/perl-xCAT.rpm", Digest: sum("b")},
			{Name: "perl-xCAT__", Version: "2.17.0~rc1^git", Release: "1", Arch: "noarch", File: "Packages/other.rpm", Digest: sum("c"), Install: true},
		},
		DistroPackages:  []artifact.Package{{Name: "bind", Epoch: "32", Version: "9.16.23", Release: "29.el9", Arch: "x86_64"}},
		MissingPackages: []string{"xCAT-genesis-base-ppc64-2.17.0-1.noarch"},
	}
}

func sampleDebs() artifact.Config {
	c := sampleRPMs()
	c.Host.Distro = artifact.Distro{ID: "ubuntu", Like: "debian", Version: "24.04"}
	c.Packages = []artifact.Package{
		{Name: "xcat", Epoch: "1", Version: "2.17.0+b1", Release: "2", Arch: "amd64", File: "Packages/xcat.deb", Digest: digest.FromString("d"), Install: true},
		{Name: "goconserver", Version: "0.3.3", Arch: "all", File: "Packages/goconserver.deb", Digest: digest.FromString("e"), Install: true},
	}
	c.DistroPackages, c.MissingPackages = nil, nil
	return c
}

// documents are all that the tests look at, and one of this very program.
func documents(t *testing.T) map[string][]byte {
	t.Helper()
	running, ok := debug.ReadBuildInfo()
	if !ok {
		t.Fatal("a test has build information")
	}
	all := map[string][]byte{}
	put := func(name string, doc []byte, err error) {
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all[name] = doc
	}
	binary := func(info *debug.BuildInfo) ([]byte, error) { return Binary(info, madeBy()) }
	snapshot := func(c artifact.Config) ([]byte, error) { return Snapshot(c, madeBy()) }
	doc, err := binary(sampleBuild())
	put("binary", doc, err)
	doc, err = binary(running)
	put("running", doc, err)
	doc, err = snapshot(sampleRPMs())
	put("rpms", doc, err)
	doc, err = snapshot(sampleDebs())
	put("debs", doc, err)
	hostile := sampleRPMs()
	hostile.Host.Name, hostile.Host.Distro.ID = "m\n\x00#n\xff", "../a b"
	for range 3 {
		hostile.Packages = append(hostile.Packages, artifact.Package{Name: "a b\x1b[2J\u2028", Version: "?&#@/", Arch: "&x=y"})
	}
	doc, err = snapshot(hostile)
	put("hostile", doc, err)
	return all
}

func TestGolden(t *testing.T) {
	for name, got := range documents(t) {
		if name == "running" || name == "hostile" {
			continue
		}
		file := filepath.Join("testdata", name+".spdx.json")
		if *update {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what was made; look at the difference after go test ./internal/sbom -update:\n%s", file, got)
		}
	}
}

// TestDocumentsAreSPDX checks what SPDX 2.3 requires (clauses 6, 7 and 11) with names written anew, so that a wrong
// tag of a field is seen.
func TestDocumentsAreSPDX(t *testing.T) {
	id := regexp.MustCompile(`^SPDXRef-[a-zA-Z0-9.-]+$`)
	locator := regexp.MustCompile(`^pkg:(golang|rpm|deb)(/[A-Za-z0-9._~:%-]+)+@[A-Za-z0-9._~:%-]+(\?[a-z]+=[A-Za-z0-9._~:%-]+(&[a-z]+=[A-Za-z0-9._~:%-]+)*)?$`)
	for name, b := range documents(t) {
		t.Run(name, func(t *testing.T) {
			var doc struct {
				SPDXVersion, DataLicense, SPDXID, Name, DocumentNamespace string
				CreationInfo                                              struct {
					Created  string
					Creators []string
				}
				Packages      []map[string]any
				Relationships []struct{ SPDXElementID, RelationshipType, RelatedSPDXElement string }
			}
			if err := json.Unmarshal(b, &doc); err != nil {
				t.Fatal(err)
			}
			if doc.SPDXVersion != "SPDX-2.3" || doc.DataLicense != "CC0-1.0" || doc.SPDXID != "SPDXRef-DOCUMENT" || doc.Name == "" {
				t.Errorf("head: %+v", doc)
			}
			if !regexp.MustCompile(`^https://[a-zA-Z0-9./-]+-[0-9a-f]{64}$`).MatchString(doc.DocumentNamespace) {
				t.Errorf("namespace %q: not a URI without a fragment", doc.DocumentNamespace)
			}
			if doc.CreationInfo.Created != "2026-02-28T23:30:00Z" || !slices.Equal(doc.CreationInfo.Creators, []string{"Tool: xcrate-v1.2.0"}) {
				t.Errorf("creation %+v", doc.CreationInfo)
			}
			known := map[string]bool{"SPDXRef-DOCUMENT": true}
			for _, p := range doc.Packages {
				ref, ok := p["SPDXID"].(string)
				if !ok || !id.MatchString(ref) || known[ref] {
					t.Errorf("identifier %q: not one, or there twice", p["SPDXID"])
				}
				known[ref] = true
				for _, field := range []string{"downloadLocation", "licenseConcluded", "licenseDeclared", "copyrightText", "supplier"} {
					if p[field] != "NOASSERTION" {
						t.Errorf("%s: %s is %v", ref, field, p[field])
					}
				}
				// Without it, the default is true, and then a digest of all files is required (7.9).
				if p["filesAnalyzed"] != false {
					t.Errorf("%s: filesAnalyzed is %v", ref, p["filesAnalyzed"])
				}
				refs, _ := p["externalRefs"].([]any)
				for _, r := range refs {
					r, _ := r.(map[string]any)
					at, _ := r["referenceLocator"].(string)
					if r["referenceCategory"] != "PACKAGE-MANAGER" || r["referenceType"] != "purl" || !locator.MatchString(at) {
						t.Errorf("%s: reference %v", ref, r)
					}
				}
				for field, v := range p {
					if s, ok := v.(string); ok && strings.ContainsAny(s, "\n\r\x00\x1b\u2028") {
						t.Errorf("%s: %s has more than a line: %q", ref, field, s)
					}
				}
			}
			for i, r := range doc.Relationships {
				if !known[r.SPDXElementID] || !known[r.RelatedSPDXElement] || (i == 0) != (r.RelationshipType == "DESCRIBES") {
					t.Errorf("relationship %d: %+v", i, r)
				}
			}
			// One that describes, and one for each package but that which is described.
			if len(doc.Relationships) != len(doc.Packages) || len(doc.Packages) < 2 {
				t.Errorf("%d packages and %d relationships", len(doc.Packages), len(doc.Relationships))
			}
		})
	}
}

func TestSameInputSameBytes(t *testing.T) {
	first, again := documents(t), documents(t)
	for name := range first {
		if !bytes.Equal(first[name], again[name]) {
			t.Errorf("%s differs from one call to the next", name)
		}
	}
	shuffled := sampleRPMs()
	slices.Reverse(shuffled.Packages)
	doc, err := Snapshot(shuffled, madeBy())
	if err != nil || !bytes.Equal(doc, first["rpms"]) {
		t.Errorf("the order of packages is seen in the document: %v", err)
	}
	if shuffled.Packages[0].Name != "perl-xCAT__" {
		t.Error("the config of the caller was sorted")
	}
	by := madeBy()
	by.Created = by.Created.Add(time.Second)
	later, err := Snapshot(sampleRPMs(), by)
	if err != nil {
		t.Fatal(err)
	}
	space := regexp.MustCompile(`"documentNamespace": "(.*)"`)
	if a, b := space.FindSubmatch(first["rpms"]), space.FindSubmatch(later); bytes.Equal(a[1], b[1]) {
		t.Errorf("two documents with the namespace %s", a[1])
	}
}

func TestPackageURLs(t *testing.T) {
	for want, c := range map[string]artifact.Config{
		"pkg:rpm/rocky/xCAT@2.17.0-snap1?arch=x86_64&epoch=4":          sampleRPMs(),
		"pkg:rpm/rocky/perl-xCAT%2B%2B@2.17.0~rc1%5Egit-1?arch=noarch": sampleRPMs(),
		"pkg:rpm/rocky/bind@9.16.23-29.el9?arch=x86_64&epoch=32":       sampleRPMs(),
		"pkg:deb/ubuntu/xcat@1:2.17.0%2Bb1-2?arch=amd64":               sampleDebs(),
		"pkg:deb/ubuntu/goconserver@0.3.3?arch=all":                    sampleDebs(),
		"pkg:deb/ubuntu/isc-dhcp-server@4.4.3-1?arch=amd64":            onlyNames("ubuntu", "debian"),
		"pkg:rpm/opensuse-leap/isc-dhcp-server@4.4.3-1?arch=amd64":     onlyNames("opensuse-leap", "suse opensuse"),
		"pkg:deb/debian/isc-dhcp-server@4.4.3-1?arch=amd64":            onlyNames("debian", ""),
		"pkg:rpm/..%2Fa%20b/isc-dhcp-server@4.4.3-1?arch=amd64":        onlyNames("../a b", ""),
		"pkg:rpm/rocky/perl-xCAT__@2.17.0~rc1%5Egit-1?arch=noarch":     sampleRPMs(),
		"pkg:golang/github.com/protonmail/go-crypto@v1.5.2":            {},
		"pkg:golang/example.com/fork@v2.0.1":                           {},
		"pkg:golang/stdlib@1.26.8":                                     {},
		"pkg:golang/github.com/xcrate/xcrate@v1.2.0":                   {},
	} {
		doc, err := Snapshot(c, madeBy())
		if strings.HasPrefix(want, "pkg:golang/") {
			doc, err = Binary(sampleBuild(), madeBy())
		}
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(doc), `"`+want+`"`) {
			t.Errorf("%s is not in\n%s", want, doc)
		}
	}
}

// onlyNames is a snapshot without package files.
func onlyNames(distro, like string) artifact.Config {
	return artifact.Config{
		Host:           artifact.Host{Name: "mn1", Arch: "amd64", Distro: artifact.Distro{ID: distro, Like: like}},
		DistroPackages: []artifact.Package{{Name: "isc-dhcp-server", Version: "4.4.3", Release: "1", Arch: "amd64"}},
	}
}

func TestRefused(t *testing.T) {
	for name, info := range map[string]*debug.BuildInfo{"nil": nil, "empty": {}} {
		if _, err := Binary(info, madeBy()); err == nil {
			t.Errorf("%s build information makes a document", name)
		}
	}
	for _, d := range []digest.Digest{"sha256:abc", "md5:d41d8cd98f00b204e9800998ecf8427e", "no digest"} {
		for _, where := range []func(*artifact.Config) *artifact.Package{
			func(c *artifact.Config) *artifact.Package { return &c.Packages[0] },
			func(c *artifact.Config) *artifact.Package { return &c.DistroPackages[0] },
		} {
			c := sampleRPMs()
			p := where(&c)
			p.Digest = d
			if _, err := Snapshot(c, madeBy()); err == nil || !strings.Contains(err.Error(), p.Name) {
				t.Errorf("digest %q: %v", d, err)
			}
		}
	}
}
