package artifact

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// plainRecord is e as encoding/json writes it: what appendRecord must equal.
func plainRecord(t *testing.T, e Entry) []byte {
	t.Helper()
	r := record{
		Kind: e.Kind, Part: e.Part, Type: e.Type, Mode: fmt.Sprintf("%04o", e.Mode),
		UID: e.UID, GID: e.GID, User: e.User, Group: e.Group,
		MTime: e.MTime.String(), Size: e.Size, Digest: e.Digest, Sparse: e.Sparse,
	}
	r.Path, r.Path64 = split64(e.Path)
	r.Link, r.Link64 = split64(e.Link)
	if e.Type == TypeChar || e.Type == TypeBlock {
		r.Device = fmt.Sprintf("%d:%d", e.Major, e.Minor)
	}
	if len(e.Xattrs) > 0 {
		r.Xattrs = map[string]string{}
		for k, v := range e.Xattrs {
			r.Xattrs[k] = base64.StdEncoding.EncodeToString([]byte(v))
		}
	}
	if p := e.Piece; p.Number > 0 {
		r.Piece = &pieceRecord{Number: p.Number, Count: p.Count, Offset: p.Offset, Total: p.Total}
		r.Piece.Stored, r.Piece.Stored64 = split64(p.Stored)
	}
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// plainEntry is line as encoding/json reads it: what recordReader must equal.
func plainEntry(line []byte) (Entry, error) {
	var e Entry
	err := json.Unmarshal(line, &e)
	return e, err
}

func label() map[string]string {
	return map[string]string{"security.selinux": "system_u:object_r:usr_t:s0\x00"}
}

// usual is what most records of a catalog are like.
func usual() Entry {
	return Entry{
		Kind: KindInstall, Part: 12, Path: "install/custom/install/rocky/compute.rocky9.pkglist", Type: TypeFile, Mode: 0o644,
		User: "root", Group: "root", MTime: Time{Sec: 1735689600, Nsec: 123456789}, Size: 28731,
		Digest: "blake3:" + strings.Repeat("0123456789abcdef", 4), Xattrs: label(),
	}
}

// unusual has what a record may hold besides.
func unusual() []Entry {
	var all []Entry
	for _, edit := range []func(*Entry){
		func(e *Entry) { *e = Entry{} },
		func(*Entry) {},
		func(e *Entry) { e.Xattrs = nil },
		func(e *Entry) {
			e.Xattrs = map[string]string{"user.b": "", "user.a": "\x00\xff", "user.<": "x", "user.\xff": "y"}
		},
		func(e *Entry) { e.Path = "a\xffb" },
		func(e *Entry) { e.Path = "a\"b\\c<d>e&f\n\t\x00\x7f" },
		func(e *Entry) { e.Path = "größe/\u2028\u2029/\U0001F600" },
		func(e *Entry) { e.Path, e.User, e.Group = "", "", "" },
		func(e *Entry) { e.User, e.Group = "us\xffer", "gr\"oup" },
		func(e *Entry) { e.Mode = 0o7 },
		func(e *Entry) { e.Mode = 0o77 },
		func(e *Entry) { e.Mode = 0o7777 },
		func(e *Entry) { e.Mode = math.MaxUint32 },
		func(e *Entry) { e.UID, e.GID = -1, math.MaxInt },
		func(e *Entry) { e.MTime = Time{} },
		func(e *Entry) { e.MTime = Time{Sec: -1, Nsec: 5e8} },
		func(e *Entry) { e.MTime = Time{Sec: math.MinInt64, Nsec: 1} },
		func(e *Entry) { e.MTime = Time{Sec: math.MaxInt64, Nsec: 1e9 - 1} },
		func(e *Entry) { e.MTime = Time{Sec: 1, Nsec: 10} },
		func(e *Entry) { e.Size = math.MaxInt64 },
		func(e *Entry) { e.Type, e.Link, e.Size, e.Digest = TypeSymlink, "../\xfe", 0, "" },
		func(e *Entry) { e.Type, e.Link, e.Size, e.Digest = TypeHardlink, "install/a", 0, "" },
		func(e *Entry) { e.Type, e.Size, e.Digest = TypeDir, 0, "" },
		func(e *Entry) { e.Type, e.Major, e.Minor = TypeChar, 5, 1 },
		func(e *Entry) { e.Type, e.Major, e.Minor = TypeBlock, 0, math.MaxUint32 },
		func(e *Entry) { e.Sparse = true },
		func(e *Entry) { e.Piece = Piece{Number: 2, Count: 3, Offset: 1, Total: 9, Stored: "a\xff"} },
		func(e *Entry) { e.Piece = Piece{Number: 2, Count: 3, Offset: 1, Total: 9, Stored: "<a>"} },
		func(e *Entry) { e.Kind, e.Type = "kind\"", "type\x01" },
	} {
		e := usual()
		edit(&e)
		all = append(all, e)
	}
	return all
}

func TestAppendRecord(t *testing.T) {
	for _, e := range unusual() {
		want := plainRecord(t, e)
		got, err := appendRecord([]byte("x"), &e)
		if err != nil || string(got) != "x"+string(want) {
			t.Errorf("%v\n got %s\nwant x%s", err, got, want)
		}
	}
}

// TestScanRecord reads what encoding/json writes. The usual record must go the
// quick way, or nothing is gained.
func TestScanRecord(t *testing.T) {
	r := recordReader{}
	for _, e := range unusual() {
		line := plainRecord(t, e)
		assertReads(t, &r, line)
		for i := range line { // every prefix, and every byte left out
			assertReads(t, &r, line[:i])
			assertReads(t, &r, append(bytes.Clone(line[:i]), line[i+1:]...))
		}
	}
	e := usual()
	for _, e.Xattrs = range []map[string]string{nil, label()} {
		if got := (Entry{}); !r.scan(plainRecord(t, e), &got) || !reflect.DeepEqual(got, e) {
			t.Errorf("the usual record is read slowly, or as %+v", got)
		}
	}
}

// assertReads compares what r reads with what encoding/json does.
func assertReads(t *testing.T, r *recordReader, line []byte) {
	t.Helper()
	got, err := r.read(line)
	want, wantErr := plainEntry(line)
	if (err == nil) != (wantErr == nil) || err == nil && !reflect.DeepEqual(got, want) {
		t.Errorf("%q\n got %+v, %v\nwant %+v, %v", line, got, err, want, wantErr)
	}
}

func FuzzScanRecord(f *testing.F) {
	for _, e := range unusual() {
		line, err := appendRecord(nil, &e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		assertReads(t, &recordReader{user: "root", attr: "user.a"}, line)
	})
}

func FuzzAppendRecord(f *testing.F) {
	f.Add("install", 1, "a/b", "file", uint32(0o644), 0, "root", int64(1), int64(5e8), int64(9), "blake3:00", "", "user.a", "x")
	f.Add("install", 1, "a\xff", "char", uint32(0), -1, "\x00", int64(-1), int64(1), int64(0), "", "<&>", "", "")
	f.Fuzz(func(t *testing.T, kind string, part int, p, typ string, mode uint32, id int, name string, sec, nsec, size int64, digest, link, attr, value string) {
		e := Entry{
			Kind: Kind(kind), Part: part, Path: p, Type: Type(typ), Mode: mode, UID: id, GID: part, User: name, Group: kind,
			MTime: Time{Sec: sec, Nsec: nsec & math.MaxInt64 % 1e9}, Size: size, Digest: digest, Link: link, Major: mode, Minor: 1,
			Xattrs: map[string]string{attr: value, name: digest}, Sparse: size%2 == 1,
		}
		if part%2 == 1 {
			e.Piece = Piece{Number: part, Count: id, Offset: sec, Total: size, Stored: name}
		}
		got, err := appendRecord(nil, &e)
		if want := plainRecord(t, e); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%v\n got %s\nwant %s", err, got, want)
		}
	})
}

// TestFrozenCatalogs reads the catalogs of old snapshots and writes them again:
// not a byte may differ.
func TestFrozenCatalogs(t *testing.T) {
	blobs, err := filepath.Glob("../testdata/artifacts/*/blobs/sha256/*")
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for _, name := range blobs {
		blob, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		z, err := NewZstdReader(bytes.NewReader(blob))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(z)
		z.Close()
		if err != nil || !bytes.HasPrefix(text, []byte(`{"kind":`)) {
			continue // no catalog
		}
		var again bytes.Buffer
		w, err := NewCatalogWriter(&again)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(text) {
			lines++
			e, err := plainEntry(line)
			if err == nil {
				err = w.Write(e)
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, err := appendRecord(nil, &e); err != nil || string(got)+"\n" != string(line) {
				t.Errorf("%v\n got %s\nwant %s", err, got, line)
			}
			assertReads(t, &recordReader{}, line[:len(line)-1])
		}
		if err := w.Close(); err != nil || !bytes.Equal(again.Bytes(), blob) {
			t.Errorf("catalog %s: written again, it has other bytes (%v)", name, err)
		}
	}
	if lines < 100 {
		t.Errorf("only %d records in frozen artifacts", lines)
	}
}

// TestSameEntry changes each field of an entry: all that a layer knows counts.
func TestSameEntry(t *testing.T) {
	record := usual()
	record.Piece = Piece{Number: 1, Count: 2, Total: 1 << 30, Stored: "install/custom/stored"}
	layer := usual()
	layer.Path = record.Piece.Stored
	if err := SameEntry(record, layer); err != nil {
		t.Fatal(err)
	}
	typ := reflect.TypeFor[Entry]()
	for i := range typ.NumField() {
		changed := layer
		switch v := reflect.ValueOf(&changed).Elem().Field(i); v.Kind() {
		case reflect.String:
			v.SetString("other")
		case reflect.Int, reflect.Int64:
			v.SetInt(77)
		case reflect.Uint32:
			v.SetUint(77)
		case reflect.Bool:
			v.SetBool(true)
		case reflect.Map:
			v.Set(reflect.ValueOf(map[string]string{"user.other": ""}))
		case reflect.Struct:
			v.Field(0).SetInt(77)
		default:
			t.Fatalf("field %s: kind %s is not tried", typ.Field(i).Name, v.Kind())
		}
		name := typ.Field(i).Name
		unknown := name == "Kind" || name == "Part" || name == "Digest"
		if err := SameEntry(record, changed); (err == nil) != unknown {
			t.Errorf("field %s differs: %v", name, err)
		}
	}
}

func BenchmarkCatalogWrite(b *testing.B) {
	w, err := NewCatalogWriter(io.Discard)
	if err != nil {
		b.Fatal(err)
	}
	e := usual()
	b.ReportAllocs()
	for b.Loop() {
		if err := w.Write(e); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCatalogRead(b *testing.B) {
	const records = 50_000
	var catalog bytes.Buffer
	w, err := NewCatalogWriter(&catalog)
	if err != nil {
		b.Fatal(err)
	}
	for i := range records {
		e := usual()
		e.Path += fmt.Sprintf("%06d", i)
		if err := w.Write(e); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		r, err := NewCatalogReader(bytes.NewReader(catalog.Bytes()))
		if err != nil {
			b.Fatal(err)
		}
		for err == nil {
			_, err = r.Next()
			n++
		}
		if err != io.EOF { //nolint:errorlint // the contract is io.EOF itself
			b.Fatal(err)
		}
		r.Close()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/record")
}
