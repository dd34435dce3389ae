package pkgmgr

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/rpmpack"
)

// FuzzRPM: what is read of an rpm was verified by the digests in it, so its name is one.
func FuzzRPM(f *testing.F) {
	r, err := rpmpack.NewRPM(rpmpack.RPMMetaData{Name: "x", Version: "1", Release: "2", Arch: "noarch", Epoch: rpmpack.NoEpoch})
	if err != nil {
		f.Fatal(err)
	}
	r.AddFile(rpmpack.RPMFile{Name: "/etc/x", Body: []byte("x")})
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add(b.Bytes()[:leadSize+40])
	f.Fuzz(func(t *testing.T, b []byte) {
		p, _, err := Read("x.rpm", bytes.NewReader(b), int64(len(b)))
		if err == nil && (p.Name == "" || strings.ContainsAny(p.File, "/\x00") || p.HeaderStart < leadSize || p.HeaderEnd > int64(len(b))) {
			t.Errorf("%+v", p)
		}
	})
}

// FuzzRepodata: indexes of repositories come from a network.
func FuzzRepodata(f *testing.F) {
	f.Add([]byte(`<repomd><data type="primary"><location href="repodata/primary.xml.gz"/><checksum type="sha256">00</checksum></data></repomd>`), 0)
	f.Add([]byte(`<metadata packages="1"><package type="rpm"><name>x</name><arch>noarch</arch><version epoch="0" ver="1" rel="1"/><checksum type="sha256">00</checksum><size package="1"/><location href="x.rpm"/></package></metadata>`), 1)
	f.Add([]byte("Package: x\nVersion: 1\n more\n\nPackage: y\n"), 2)
	f.Add([]byte(`<metalink><files><file name="repomd.xml"><resources><url protocol="https">https://x/repodata/repomd.xml</url></resources></file></files></metalink>`), 3)
	f.Fuzz(func(t *testing.T, b []byte, which int) {
		switch which & 3 {
		case 0:
			_, _ = parseRepomd(b)
		case 1:
			n := 0
			err := parsePrimary(bytes.NewReader(b), func(primaryPackage) error { n++; return nil })
			if err == nil && n > len(b) {
				t.Errorf("%d packages in %d bytes", n, len(b))
			}
		case 2:
			p := newParagraphs(bytes.NewReader(b))
			for {
				one, err := p.next()
				if errors.Is(err, io.EOF) || err != nil {
					return
				}
				if len(one.fields) == 0 {
					t.Error("an empty paragraph")
				}
			}
		case 3:
			_, _ = parseMetalink(b)
		}
	})
}
