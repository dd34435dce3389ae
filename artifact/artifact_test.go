package artifact_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"

	"github.com/xcrate/xcrate/artifact"
)

// store is a fetcher and pusher in memory that checks what it hands out, as
// the contract of artifact's readers asks.
type store map[digest.Digest][]byte

func (s store) Push(_ context.Context, desc ocispec.Descriptor, r io.Reader) error {
	b, err := io.ReadAll(r)
	s[desc.Digest] = b
	return err
}

func (s store) Fetch(_ context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	b, ok := s[desc.Digest]
	if !ok {
		return nil, fmt.Errorf("blob %s: missing", desc.Digest)
	}
	return &verified{content.NewVerifyReader(bytes.NewReader(b), desc)}, nil
}

type verified struct{ *content.VerifyReader }

func (v *verified) Read(p []byte) (int, error) {
	n, err := v.VerifyReader.Read(p)
	if errors.Is(err, io.EOF) {
		if verr := v.Verify(); verr != nil {
			return n, verr
		}
	}
	return n, err
}

func (v *verified) Close() error { return nil }

func (s store) put(mediaType string, b []byte) ocispec.Descriptor {
	desc := content.NewDescriptorFromBytes(mediaType, b)
	s[desc.Digest] = b
	return desc
}

var sample = []artifact.Entry{
	{Kind: artifact.KindSecrets, Part: 1, Path: "etc/xcat", Type: artifact.TypeDir, Mode: 0o755},
	{Kind: artifact.KindSecrets, Part: 1, Path: "etc/xcat/key", Type: artifact.TypeFile, Mode: 0o600, Size: 6, User: "root", Group: "root"},
	{Kind: artifact.KindConfig, Part: 1, Path: "etc/a\xff", Type: artifact.TypeFile, Mode: 0o4755, Size: 2, MTime: artifact.Time{Sec: -2, Nsec: 5}, Xattrs: map[string]string{"user.x": "\x00\xff"}},
	{Kind: artifact.KindConfig, Part: 1, Path: "etc/b", Type: artifact.TypeHardlink, Link: "etc/a\xff", Mode: 0o4755, MTime: artifact.Time{Sec: -2, Nsec: 5}, Xattrs: map[string]string{"user.x": "\x00\xff"}},
	{Kind: artifact.KindConfig, Part: 1, Path: "etc/c", Type: artifact.TypeSymlink, Link: "/bad\xfe", Mode: 0o777},
}

var contents = map[string]string{"etc/xcat/key": "secret", "etc/a\xff": "hi"}

// pack makes a snapshot of sample in s; edit may change entries on the way
// into the tar or the catalog.
func pack(t *testing.T, s store, inTar, inCatalog func([]artifact.Entry) []artifact.Entry) (*artifact.Snapshot, error) {
	t.Helper()
	config := artifact.Config{
		Format: 1, Created: time.Unix(1700000000, 0), Host: artifact.Host{Name: "mn", Arch: "x86_64", Distro: artifact.Distro{ID: "rocky", Version: "9.6"}},
		Stack: artifact.Stack{Name: "xcat", Version: "2.17.0"},
		Kinds: []artifact.KindSum{
			{Kind: artifact.KindSecrets, Parts: 1, Entries: 2, Files: 1, Bytes: 6},
			{Kind: artifact.KindConfig, Parts: 1, Entries: 3, Files: 1, Bytes: 2},
		},
	}
	all := make([]artifact.Entry, len(sample))
	for i, e := range sample {
		if e.Type == artifact.TypeFile {
			d := artifact.NewDigester()
			_, _ = io.WriteString(d, contents[e.Path])
			e.Digest = d.Sum()
		}
		all[i] = e
	}
	var layers []ocispec.Descriptor
	for _, k := range []artifact.Kind{artifact.KindConfig, artifact.KindSecrets} {
		layers = append(layers, artifact.LayerDescriptor(s.put(artifact.TypeTarZstd, tarZstd(t, k, inTar(all))), k, 1, 1))
	}
	var cat bytes.Buffer
	w, err := artifact.NewCatalogWriter(&cat)
	check(t, err)
	for _, e := range inCatalog(all) {
		check(t, w.Write(e))
	}
	check(t, w.Close())
	layers = append(layers, artifact.LayerDescriptor(s.put(artifact.TypeCatalog, cat.Bytes()), artifact.KindCatalog, 1, 1))
	desc, err := artifact.Pack(t.Context(), s, config, layers)
	check(t, err)
	return artifact.Load(t.Context(), s, desc)
}

func tarZstd(t *testing.T, k artifact.Kind, all []artifact.Entry) []byte {
	t.Helper()
	var b bytes.Buffer
	z, err := artifact.NewZstdWriter(&b)
	check(t, err)
	tw := tar.NewWriter(z)
	for _, e := range all {
		if e.Kind != k {
			continue
		}
		h, err := e.Header()
		check(t, err)
		check(t, tw.WriteHeader(h))
		if e.Type == artifact.TypeFile {
			_, err = io.WriteString(tw, (contents[e.Path] + strings.Repeat("?", int(e.Size)))[:e.Size])
			check(t, err)
		}
	}
	check(t, tw.Close())
	check(t, z.Close())
	return b.Bytes()
}

func same(all []artifact.Entry) []artifact.Entry { return all }

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestVerifyGood(t *testing.T) {
	snap, err := pack(t, store{}, same, same)
	check(t, err)
	if snap.Descriptor.Platform.Architecture != "amd64" || snap.Manifest.Annotations["dev.xcrate.distro.version"] != "9.6" {
		t.Errorf("descriptor %+v, annotations %v", snap.Descriptor, snap.Manifest.Annotations)
	}
	s := store{}
	again, err := pack(t, s, same, same)
	check(t, err)
	if again.Descriptor.Digest != snap.Descriptor.Digest {
		t.Error("the same snapshot has two digests")
	}
	report, err := artifact.Verify(t.Context(), s, again)
	check(t, err)
	if len(report.Problems) != 0 || report.Entries != 5 || report.Blobs != 5 {
		t.Errorf("%+v", report)
	}
}

// TestVerifyEveryBit flips each bit of each blob: Load or Verify must see it,
// and say in which kind.
func TestVerifyEveryBit(t *testing.T) {
	s := store{}
	snap, err := pack(t, s, same, same)
	check(t, err)
	kinds := map[digest.Digest]string{snap.Descriptor.Digest: "manifest", snap.Manifest.Config.Digest: "config"}
	for _, l := range snap.Manifest.Layers {
		kinds[l.Digest] = "kind " + l.Annotations[artifact.AnnotationKind]
	}
	for d, good := range s {
		for bit := range len(good) * 8 {
			bad := bytes.Clone(good)
			bad[bit/8] ^= 1 << (bit % 8)
			s[d] = bad
			assertNamed(t, s, snap, kinds[d], fmt.Sprintf("bit %d", bit))
		}
		s[d] = good[:len(good)-1]
		assertNamed(t, s, snap, kinds[d], "truncated")
		s[d] = append(bytes.Clone(good), 0)
		assertNamed(t, s, snap, kinds[d], "longer")
		delete(s, d)
		assertNamed(t, s, snap, kinds[d], "missing")
		s[d] = good
	}
}

func assertNamed(t *testing.T, s store, snap *artifact.Snapshot, name, what string) {
	t.Helper()
	loaded, err := artifact.Load(t.Context(), s, snap.Descriptor)
	if err != nil {
		if name != "manifest" && name != "config" {
			t.Fatalf("%s of %s: Load: %v", what, name, err)
		}
		if !strings.Contains(err.Error(), name) {
			t.Fatalf("%s of %s: %v does not name it", what, name, err)
		}
		return
	}
	report, err := artifact.Verify(t.Context(), s, loaded)
	check(t, err)
	if len(report.Problems) != 1 {
		t.Fatalf("%s of %s: %d problems: %v", what, name, len(report.Problems), report.Problems)
	}
	if p := report.Problems[0]; !strings.Contains(p.Error(), name) || p.Holds == "" {
		t.Fatalf("%s of %s: %v does not name it", what, name, p)
	}
}

// TestVerifyDisagreement makes catalogs and layers that each have good digests
// and tell different stories.
func TestVerifyDisagreement(t *testing.T) {
	edit := func(i int, fn func(*artifact.Entry)) func([]artifact.Entry) []artifact.Entry {
		return func(all []artifact.Entry) []artifact.Entry {
			all = append([]artifact.Entry{}, all...)
			fn(&all[i])
			return all
		}
	}
	drop := func(i int) func([]artifact.Entry) []artifact.Entry {
		return func(all []artifact.Entry) []artifact.Entry {
			return append(append([]artifact.Entry{}, all[:i]...), all[i+1:]...)
		}
	}
	for name, c := range map[string]struct {
		inTar, inCatalog func([]artifact.Entry) []artifact.Entry
		want             string
	}{
		"mode":           {edit(1, func(e *artifact.Entry) { e.Mode = 0o666 }), same, "etc/xcat/key"},
		"size":           {edit(1, func(e *artifact.Entry) { e.Size = 7 }), same, "etc/xcat/key"},
		"owner":          {same, edit(1, func(e *artifact.Entry) { e.UID = 7 }), "etc/xcat/key"},
		"xattr":          {same, edit(2, func(e *artifact.Entry) { e.Xattrs = nil }), "etc/a"},
		"link":           {edit(4, func(e *artifact.Entry) { e.Link = "/elsewhere" }), same, "etc/c"},
		"content-digest": {same, edit(1, func(e *artifact.Entry) { e.Digest = "blake3:00" }), "etc/xcat/key"},
		"not-in-tar":     {drop(4), same, "etc/c"},
		"not-in-catalog": {same, drop(4), "etc/c"},
		"twice":          {same, func(all []artifact.Entry) []artifact.Entry { return append(all, all[4]) }, "out of order"},
		"later-link":     {same, edit(3, func(e *artifact.Entry) { e.Link = "etc/z" }), "later"},
		"no-such-layer":  {same, edit(4, func(e *artifact.Entry) { e.Part = 2 }), "etc/c"},
	} {
		t.Run(name, func(t *testing.T) {
			s := store{}
			snap, err := pack(t, s, c.inTar, c.inCatalog)
			check(t, err)
			report, err := artifact.Verify(t.Context(), s, snap)
			check(t, err)
			if len(report.Problems) == 0 || !strings.Contains(fmt.Sprint(report.Problems), c.want) {
				t.Errorf("problems: %v", report.Problems)
			}
		})
	}
}

// TestHostilePaths writes layers whose names lead out of the tree.
func TestHostilePaths(t *testing.T) {
	for _, name := range []string{"/etc/passwd", "../x", "a/../../x", "a//b", "./a", "a/.", "", "..", strings.Repeat("n", 256)} {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644}
		if _, err := artifact.EntryFromHeader(h); err == nil {
			t.Errorf("path %.40q was taken", name)
		}
		h = &tar.Header{Typeflag: tar.TypeLink, Name: "ok", Linkname: name, Mode: 0o644}
		if _, err := artifact.EntryFromHeader(h); err == nil {
			t.Errorf("hard link to %.40q was taken", name)
		}
	}
	for _, h := range []*tar.Header{
		{Typeflag: tar.TypeReg, Name: "a", Mode: 0o100644},
		{Typeflag: tar.TypeCont, Name: "a"},
		{Typeflag: tar.TypeDir, Name: "a", Size: 5},
		{Typeflag: tar.TypeReg, Name: "a", Uid: -1},
		{Typeflag: tar.TypeSymlink, Name: "a"},
	} {
		if _, err := artifact.EntryFromHeader(h); err == nil {
			t.Errorf("header %+v was taken", h)
		}
	}
}

func TestEntryJSON(t *testing.T) {
	for _, e := range sample {
		b, err := json.Marshal(e)
		check(t, err)
		var back artifact.Entry
		check(t, json.Unmarshal(b, &back))
		if !reflect.DeepEqual(e, back) {
			t.Errorf("%s\n was %+v\n is  %+v", b, e, back)
		}
	}
	for _, bad := range []string{`{`, `{"mode":"9"}`, `{"mode":"0644","mtime":"x"}`, `{"mode":"0644","mtime":"1","xattrs":{"a":"%"}}`, `{"mode":"0644","mtime":"1","device":"x"}`} {
		if err := json.Unmarshal([]byte(bad), new(artifact.Entry)); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}

func TestTime(t *testing.T) {
	for want, at := range map[string]artifact.Time{
		"0": {}, "1700000000": {Sec: 1700000000}, "1.5": {Sec: 1, Nsec: 5e8}, "1.000000001": {Sec: 1, Nsec: 1},
		"-1": {Sec: -1}, "-0.5": {Sec: -1, Nsec: 5e8}, "-1.9": {Sec: -2, Nsec: 1e8}, fmt.Sprint(math.MaxInt64): {Sec: math.MaxInt64},
	} {
		if at.String() != want {
			t.Errorf("%+v is written %s, want %s", at, at, want)
		}
		back, err := artifact.ParseTime(want)
		if err != nil || back != at {
			t.Errorf("%s is read as %+v, %v", want, back, err)
		}
	}
	for _, bad := range []string{"", "x", "1.x", "1.0000000001", "+1", "1e9", "9223372036854775808"} {
		if _, err := artifact.ParseTime(bad); err == nil {
			t.Errorf("%q was taken for a time", bad)
		}
	}
}

// TestForeign hands Load what other tools write.
func TestForeign(t *testing.T) {
	s := store{}
	image := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: s.put(ocispec.MediaTypeImageConfig, []byte(`{}`))}
	image.SchemaVersion = 2
	b, err := json.Marshal(image)
	check(t, err)
	if _, err := artifact.Load(t.Context(), s, s.put(ocispec.MediaTypeImageManifest, b)); !errors.Is(err, artifact.ErrForeign) {
		t.Errorf("image: %v", err)
	}
	if _, err := artifact.Load(t.Context(), s, s.put(ocispec.MediaTypeImageIndex, b)); !errors.Is(err, artifact.ErrForeign) {
		t.Errorf("index: %v", err)
	}
}

// TestNewerFormat refuses a snapshot of a format that does not exist yet.
func TestNewerFormat(t *testing.T) {
	s := store{}
	snap, err := pack(t, s, same, same)
	check(t, err)
	raw := bytes.ReplaceAll(s[snap.Descriptor.Digest], []byte(`"dev.xcrate.format":"1"`), []byte(`"dev.xcrate.format":"2"`))
	_, err = artifact.Load(t.Context(), s, s.put(ocispec.MediaTypeImageManifest, raw))
	if err == nil || !strings.Contains(err.Error(), "format") {
		t.Errorf("%v", err)
	}
}
