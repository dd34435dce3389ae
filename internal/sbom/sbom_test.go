package sbom

import (
	"bytes"
	"encoding/json"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/xcrate/xcrate/artifact"
)

func config() artifact.Config {
	c := artifact.Config{Created: time.Unix(1.7e9, 0), Tool: "xcrate v1", Stack: artifact.Stack{Name: "xcat", Version: "2.17.0"}}
	c.Host = artifact.Host{Name: "mgmt01", Arch: "x86_64", Distro: artifact.Distro{ID: "rocky", Version: "9.6"}}
	c.Packages = []artifact.Package{{Name: "perl-x+y", Epoch: "1", Version: "2.0", Release: "3.el9", Arch: "noarch", File: "Packages/p.rpm", Size: 1, Digest: digest.FromString("p")}}
	c.DistroPackages = []artifact.Package{{Name: "bind", Version: "9", Release: "1", Arch: "x86_64"}}
	return c
}

// required holds what SPDX 2.3 asks of every document and package (clauses 6 and 7, and
// the JSON schema's "required").
func required(t *testing.T, b []byte) document {
	t.Helper()
	var d document
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	id := regexp.MustCompile(`^SPDXRef-[A-Za-z0-9.-]+$`)
	if d.Version != "SPDX-2.3" || d.License != "CC0-1.0" || d.ID != documentID || d.Name == "" || !strings.HasPrefix(d.Namespace, "https://") || len(d.Creation.Creators) == 0 {
		t.Errorf("document: %+v", d)
	}
	if _, err := time.Parse("2006-01-02T15:04:05Z", d.Creation.Created); err != nil {
		t.Error(err)
	}
	known := map[string]bool{documentID: true}
	for _, p := range d.Packages {
		if !id.MatchString(p.ID) || known[p.ID] || p.Name == "" || p.Download == "" || p.Analyzed {
			t.Errorf("package: %+v", p)
		}
		known[p.ID] = true
	}
	for _, r := range d.Relationships {
		if !known[r.Element] || !known[r.Related] {
			t.Errorf("relationship: %+v", r)
		}
	}
	return d
}

func TestPackages(t *testing.T) {
	b, err := Packages(config())
	if err != nil {
		t.Fatal(err)
	}
	d := required(t, b)
	if len(d.Packages) != 3 || d.Packages[1].Version != "1:2.0-3.el9" || d.Packages[1].Checksums[0].Value != digest.FromString("p").Encoded() {
		t.Errorf("%+v", d.Packages)
	}
	if got := d.Packages[1].ExternalRefs[0].Locator; got != "pkg:rpm/rocky/perl-x+y@2.0-3.el9?arch=noarch&epoch=1" {
		t.Errorf("purl %s", got)
	}
	if d.Relationships[2].Type != "DEPENDS_ON" || d.Packages[2].Comment == "" {
		t.Errorf("a package of the distro: %+v", d.Packages[2])
	}
	again, err := Packages(config())
	if err != nil || !bytes.Equal(b, again) {
		t.Errorf("made twice it is not the same, %v", err)
	}
	deb := config()
	deb.Host.Distro = artifact.Distro{ID: "ubuntu", Like: "debian"}
	b, err = Packages(deb)
	if err != nil || !bytes.Contains(b, []byte("pkg:deb/ubuntu/bind@9-1?arch=x86_64")) {
		t.Errorf("%v\n%s", err, b)
	}
}

func TestProgram(t *testing.T) {
	info := &debug.BuildInfo{GoVersion: "go1.26.0", Main: debug.Module{Path: "github.com/xcrate/xcrate"}, Deps: []*debug.Module{
		{Path: "z.example/z", Version: "v1.0.0", Sum: "h1:AAAA"}, {Path: "a.example/a", Version: "v2.0.0", Replace: &debug.Module{Path: "b.example/b", Version: "v3.0.0"}},
	}}
	b, err := Program(info, "v9", time.Unix(1.7e9, 0))
	if err != nil {
		t.Fatal(err)
	}
	d := required(t, b)
	names := ""
	for _, p := range d.Packages {
		names += p.Name + " " + p.Version + "; "
	}
	if names != "github.com/xcrate/xcrate v9; stdlib 1.26.0; b.example/b v3.0.0; z.example/z v1.0.0; " {
		t.Errorf("packages: %s", names)
	}
}
