package layout

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

const someDigest = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"

func TestParseReference(t *testing.T) {
	places := map[string]place{
		"/d": placeDir, "/d:v1": placeDir, "/f": placeFile, "/x.iso": placeFile, "/m.iso": placeDir,
		"a@b": placeDir, "reg.example": placeDir, "reg.example/mn": placeDir, "/d@" + someDigest: placeDir,
	}
	tests := map[string]struct {
		in   string
		want Reference
		err  string
	}{
		"dir":           {in: "/d", want: Reference{Path: "/d"}},
		"new_dir":       {in: "/new", want: Reference{Path: "/new"}},
		"relative":      {in: "new", want: Reference{Path: "new"}},
		"scheme":        {in: "oci:/d", want: Reference{Path: "/d"}},
		"tag":           {in: "/d:latest", want: Reference{Path: "/d", Tag: "latest"}},
		"scheme_tag":    {in: "oci:/d:v2", want: Reference{Path: "/d", Tag: "v2"}},
		"digest":        {in: "/d@" + someDigest, want: Reference{Path: "/d@" + someDigest}},
		"digest_new":    {in: "/n@" + someDigest, want: Reference{Path: "/n", Digest: someDigest}},
		"scheme_digest": {in: "oci:/n@" + someDigest, want: Reference{Path: "/n", Digest: someDigest}},
		"existing_wins": {in: "/d:v1", want: Reference{Path: "/d:v1"}},
		"existing_tag":  {in: "/d:v1:v2", want: Reference{Path: "/d:v1", Tag: "v2"}},
		"existing_at":   {in: "/d:v1@" + someDigest, want: Reference{Path: "/d:v1", Digest: someDigest}},
		"at_in_path":    {in: "a@b", want: Reference{Path: "a@b"}},
		"at_no_digest":  {in: "/new@home", want: Reference{Path: "/new@home"}},
		"colon_in_dir":  {in: "/a:b/c", want: Reference{Path: "/a:b/c"}},
		"file":          {in: "/f:x", want: Reference{Path: "/f", Tag: "x"}},
		"dot":           {in: "./reg.example/mn:1", want: Reference{Path: "./reg.example/mn", Tag: "1"}},
		"dotdot":        {in: "../mn", want: Reference{Path: "../mn"}},
		"trailing":      {in: "usb/", want: Reference{Path: "usb/"}},
		"dot_trailing":  {in: "backup.d/", want: Reference{Path: "backup.d/"}},
		"host_as_dir":   {in: "reg.example/mn:1", want: Reference{Path: "reg.example/mn", Tag: "1"}},
		"forced_path":   {in: "oci:reg.example/other:1", want: Reference{Path: "reg.example/other", Tag: "1"}},
		"iso":           {in: "/x.iso", want: Reference{Path: "/x.iso"}},
		"iso_tag":       {in: "/new.ISO:v1", want: Reference{Path: "/new.ISO", Tag: "v1"}},
		"iso_dir":       {in: "/m.iso:v1", want: Reference{Path: "/m.iso", Tag: "v1"}},
		"long_tag":      {in: "/d:" + strings.Repeat("x", 128), want: Reference{Path: "/d", Tag: strings.Repeat("x", 128)}},

		"empty":           {in: "", err: "empty path"},
		"only_scheme":     {in: "oci:", err: "empty path"},
		"only_tag":        {in: ":v1", err: "empty path"},
		"only_digest":     {in: "@" + someDigest, err: "empty path"},
		"empty_tag":       {in: "/d:", err: `tag "":`},
		"tag_letters":     {in: "/d:a b", err: `tag "a b":`},
		"tag_dash":        {in: "/d:-x", err: `tag "-x":`},
		"tag_long":        {in: "/d:" + strings.Repeat("x", 129), err: "1 to 128"},
		"short_digest":    {in: "/n@sha256:44136f", err: `digest "sha256:44136f"`},
		"upper_digest":    {in: "/n@sha256:" + strings.ToUpper(someDigest[7:]), err: "digest"},
		"other_algorithm": {in: "/n@sha512:" + strings.Repeat("a", 128), err: "only sha256"},
		"tag_and_digest":  {in: "/n:v1@" + someDigest, err: "not both"},
		"registry":        {in: "registry.example/mn/c7:2026", err: "a repository of a registry"},
		"registry_port":   {in: "localhost:5000/mn", err: "a repository of a registry"},
		"registry_digest": {in: "registry.example/mn@" + someDigest, err: "a repository of a registry"},
		"url":             {in: "docker://registry.example/mn", err: "URLs are not understood"},
		"oci_url":         {in: "oci://d", err: "URLs are not understood"},
		"slashes":         {in: "//d:v2", want: Reference{Path: "/d", Tag: "v2"}},
		"nul":             {in: "/d\x00", err: "NUL"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := parseReference(test.in, func(p string) place { return places[p] })
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("%q: %+v, %v; want an error with %q", test.in, got, err, test.err)
				}
				return
			}
			if err != nil || got != test.want {
				t.Fatalf("%q: %+v, %v; want %+v", test.in, got, err, test.want)
			}
		})
	}
}

// On the real filesystem, and with the reference named in the error.
func TestParseReferenceReal(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "mn:v1")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if r, err := ParseReference(dir); err != nil || r.Path != dir || r.Name() != "" {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := ParseReference(dir + ":v2"); err != nil || r.Path != dir || r.Name() != "v2" {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := ParseReference(dir + "@" + someDigest); err != nil || r.Name() != someDigest {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := ParseReference(dir + ":-"); err == nil || !strings.Contains(err.Error(), dir+":-") {
		t.Errorf("error %v does not name the reference", err)
	}
}

func FuzzParseReference(f *testing.F) {
	for _, s := range []string{"/d", "oci:/d:v1", "a@" + someDigest, "a:b:c", "oci:oci:x", "r.e/x:1", "x.iso", "a/:t", "@", ":", "a@b:c"} {
		f.Add(s, uint8(3))
	}
	f.Fuzz(func(t *testing.T, s string, salt uint8) {
		// A filesystem in which some paths exist, the same ones each time.
		look := func(p string) place {
			return place((digest.FromString(p)[10] + salt) % 3)
		}
		r, err := parseReference(s, look)
		if err != nil {
			return
		}
		if r.Path == "" || r.Tag != "" && r.Digest != "" {
			t.Fatalf("%q: %+v", s, r)
		}
		if r.Tag != "" && CheckTag(r.Tag) != nil || r.Digest != "" && checkDigest(r.Digest) != nil {
			t.Fatalf("%q: %+v", s, r)
		}
		again, err := parseReference(r.String(), look)
		if err != nil || again != r {
			t.Fatalf("%q: %+v, written %q and read %+v, %v", s, r, r, again, err)
		}
	})
}
