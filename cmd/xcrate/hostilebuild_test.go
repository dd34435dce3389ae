package main

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"

	"github.com/xcrate/xcrate/artifact"
)

// hostileCase is a file of testdata/hostile: see README.md there. It is built with none of
// the code that reads it, so that it can be wrong in any way.
type hostileCase struct {
	What     string         `json:"what"`
	Entries  []hostileEntry `json:"entries"`
	Records  []hostileEntry `json:"records"`
	Times    int            `json:"times"`
	Manifest map[string]any `json:"manifest"`
	Config   map[string]any `json:"config"`
	Index    map[string]any `json:"index"`
	Layer    *hostileLayer  `json:"layer"`
	Media    string         `json:"media"`
	Levels   int            `json:"levels"`
	Says     string         `json:"says"`
	Import   string         `json:"import"`
	Warns    string         `json:"warns"`
}

type hostileEntry struct {
	Kind    string `json:"kind"`
	Part    int    `json:"part"`
	Path    string `json:"path"`
	Type    string `json:"type"`
	Content string `json:"content"`
	Link    string `json:"link"`
	Mode    string `json:"mode"`
	Size    int64  `json:"size"`
	Repeat  int64  `json:"repeat"`
}

type hostileLayer struct {
	Trailing int64  `json:"trailing"`
	Window   uint64 `json:"window"`
	Tar      string `json:"tar"`
}

func (e hostileEntry) size() int64 { return max(e.Size, int64(len(e.Content))*max(e.Repeat, 1)) }

func (e hostileEntry) mode() int64 {
	n, err := strconv.ParseInt(e.Mode, 8, 64)
	if err != nil {
		return 0o644
	}
	return n
}

// build writes the layout.
func (c *hostileCase) build(t *testing.T, dir string) {
	t.Helper()
	fail(t, os.MkdirAll(filepath.Join(dir, "blobs/sha256"), 0o755))
	put := func(b []byte) (string, int) {
		d := digest.FromBytes(b)
		fail(t, os.WriteFile(filepath.Join(dir, "blobs/sha256", d.Encoded()), b, 0o600))
		return d.String(), len(b)
	}
	descriptor := func(mediaType, kind string, b []byte) map[string]any {
		d, n := put(b)
		return map[string]any{"mediaType": mediaType, "digest": d, "size": n, "annotations": map[string]any{"dev.xcrate.kind": kind, "dev.xcrate.part": "1/1"}}
	}
	kind := c.Entries[0].Kind
	media := c.Media
	if media == "" {
		media = artifact.TypeTarZstd
	}
	layers := []any{descriptor(media, kind, c.tar(t)), descriptor(artifact.TypeCatalog, "catalog", c.catalog(t))}
	config, n := put(marshalled(t, patched(c.config(kind), c.Config)))
	manifest := map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "artifactType": artifact.TypeSnapshot,
		"config": map[string]any{"mediaType": artifact.TypeConfig, "digest": config, "size": n}, "layers": layers,
		"annotations": map[string]any{"dev.xcrate.format": "1"},
	}
	d, n := put(marshalled(t, patched(manifest, c.Manifest)))
	index := map[string]any{"schemaVersion": 2, "manifests": []any{map[string]any{
		"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": d, "size": n, "annotations": map[string]any{"org.opencontainers.image.ref.name": "latest"},
	}}}
	b := marshalled(t, patched(index, c.Index))
	if c.Levels > 0 {
		b = []byte(strings.Repeat(`{"a":`, c.Levels) + "1" + strings.Repeat("}", c.Levels))
	}
	fail(t, os.WriteFile(filepath.Join(dir, "index.json"), b, 0o600))
	fail(t, os.WriteFile(filepath.Join(dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o600))
}

// config is one that fits the entries, as far as those are honest.
func (c *hostileCase) config(kind string) map[string]any {
	files, size := 0, int64(0)
	for _, e := range c.Entries {
		if e.Type == "file" {
			files++
			size += e.size()
		}
	}
	return map[string]any{
		"format": 1, "created": "2026-01-01T00:00:00Z", "host": map[string]any{"name": "mn", "arch": "x86_64", "distro": map[string]any{"id": "rocky", "version": "9.6"}},
		"stack": map[string]any{"name": "xcat"}, "database": map[string]any{"engine": "sqlite", "tables": []any{}},
		"kinds": []any{map[string]any{"kind": kind, "parts": 1, "entries": len(c.Entries), "files": files, "bytes": size, "stored": 1}},
	}
}

// tar is the layer, compressed.
func (c *hostileCase) tar(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	if c.Layer != nil && c.Layer.Window > 0 {
		// RFC 8878, section 3.1.1: magic, a frame header with nothing but a window, a raw block.
		b.Write([]byte{0x28, 0xb5, 0x2f, 0xfd, 0x00})
		exponent := byte(0)
		for uint64(1)<<(10+exponent) < c.Layer.Window {
			exponent++
		}
		b.WriteByte(exponent << 3)
		block := make([]byte, 4)
		binary.LittleEndian.PutUint32(block, 1|5<<3)
		b.Write(append(block[:3], "hello"...))
		return b.Bytes()
	}
	z, err := zstd.NewWriter(&b)
	fail(t, err)
	if c.Layer != nil && c.Layer.Tar != "" {
		_, err := io.WriteString(z, c.Layer.Tar)
		fail(t, err)
		fail(t, z.Close())
		return b.Bytes()
	}
	w := tar.NewWriter(z)
	for _, e := range c.Entries {
		h := &tar.Header{Name: e.Path, Typeflag: typeflag(e.Type), Mode: e.mode(), Linkname: e.Link, Uname: "root", Gname: "root", ModTime: time.Unix(1e9, 0), Format: tar.FormatPAX}
		if e.Type == "file" {
			h.Size = e.size()
		}
		if e.Type == "char" {
			h.Devmajor, h.Devminor = 1, 3
		}
		if err := w.WriteHeader(h); err != nil {
			// The standard library does not write it: a header by hand does.
			raw(t, z, e)
			continue
		}
		for left := int64(len(e.Content)) * max(e.Repeat, 1); left > 0; {
			chunk := bytes.Repeat([]byte(e.Content), int(min(left, 1<<20)))
			_, err := w.Write(chunk)
			fail(t, err)
			left -= int64(len(chunk))
		}
	}
	if w.Close() != nil { // a header that claims more than there is
		fail(t, z.Close())
		return b.Bytes()
	}
	if c.Layer != nil {
		zeros := make([]byte, 1<<20)
		for n := int64(0); n < c.Layer.Trailing; n += int64(len(zeros)) {
			_, err := z.Write(zeros)
			fail(t, err)
		}
	}
	fail(t, z.Close())
	return b.Bytes()
}

// raw writes a header of the old format (POSIX.1-1988 ustar) with any name.
func raw(t *testing.T, w io.Writer, e hostileEntry) {
	t.Helper()
	var h [512]byte
	copy(h[:100], e.Path)
	copy(h[100:], fmt.Sprintf("%07o\x00%07o\x00%07o\x00%011o\x00%011o\x00        %c", e.mode(), 0, 0, len(e.Content), 1_000_000_000, '0'))
	copy(h[257:], "ustar\x0000root")
	sum := 0
	for _, b := range h {
		sum += int(b)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	block := make([]byte, 512)
	copy(block, e.Content)
	_, err := w.Write(append(h[:], block...))
	fail(t, err)
}

func typeflag(name string) byte {
	return map[string]byte{"file": tar.TypeReg, "dir": tar.TypeDir, "symlink": tar.TypeSymlink, "hardlink": tar.TypeLink, "char": tar.TypeChar, "fifo": tar.TypeFifo}[name]
}

// catalog lists the records, or what the entries are.
func (c *hostileCase) catalog(t *testing.T) []byte {
	t.Helper()
	records := c.Records
	if records == nil {
		records = c.Entries
	}
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b)
	fail(t, err)
	const number = "NUMBER" // in the path of what is listed many times
	var lines bytes.Buffer
	for _, e := range records {
		if c.Times > 0 {
			e.Path += number
		}
		lines.Write(append(marshalled(t, e.record()), '\n'))
	}
	for i := range max(c.Times, 1) {
		_, err := io.WriteString(z, strings.ReplaceAll(lines.String(), number, fmt.Sprintf("%09d", i)))
		fail(t, err)
	}
	fail(t, z.Close())
	return b.Bytes()
}

func (e hostileEntry) record() map[string]any {
	r := map[string]any{
		"kind": e.Kind, "part": max(e.Part, 1), "path": e.Path, "type": e.Type, "mode": fmt.Sprintf("%04o", e.mode()), "uid": 0, "gid": 0,
		"user": "root", "group": "root", "mtime": "1000000000",
	}
	switch e.Type {
	case "file":
		r["size"] = e.size()
		r["digest"] = artifact.DigestOf(bytes.Repeat([]byte(e.Content), int(min(max(e.Repeat, 1), 1<<20))))
		if e.size() == 0 {
			delete(r, "size")
		}
	case "symlink", "hardlink":
		r["link"] = e.Link
	case "char":
		r["device"] = "1:3"
	}
	return r
}

// patched is doc with a merge patch applied (RFC 7386).
func patched(doc, patch map[string]any) map[string]any {
	for name, value := range patch {
		below, isMap := value.(map[string]any)
		had, hadMap := doc[name].(map[string]any)
		switch {
		case value == nil:
			delete(doc, name)
		case isMap && hadMap:
			doc[name] = patched(had, below)
		default:
			doc[name] = value
		}
	}
	return doc
}

func marshalled(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	fail(t, err)
	return b
}
