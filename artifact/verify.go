package artifact

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
)

// TablesDir is the directory of the database layer that holds one CSV per
// table and nothing else, because restorexCATdb takes every file it finds.
// SchemaFile, beside it, holds the schema facts.
const (
	TablesDir  = "tables"
	SchemaFile = "schema.json"
)

// Problem is something wrong with one blob of a snapshot.
type Problem struct {
	Kind        Kind
	Part, Parts int
	Blob        digest.Digest
	Holds       string // what is in it, for people
	Err         error
}

func (p Problem) Error() string {
	return fmt.Sprintf("blob %s: kind %s, part %d of %d (%s): %v", p.Blob, p.Kind, p.Part, p.Parts, p.Holds, p.Err)
}

func (p Problem) Unwrap() error { return p.Err }

// Report is what Verify found.
type Report struct {
	Blobs    int
	Bytes    int64
	Entries  int64
	Problems []Problem
}

// Verify reads every blob of snapshot s, which Load returned: size and digest
// (the fetcher checks both), structure of each tar stream, every entry against
// the catalog and what the config counts. It goes on after a problem, so that
// the report is whole. The error is only about being interrupted.
func Verify(ctx context.Context, f content.Fetcher, s *Snapshot) (Report, error) {
	v := verifier{f: f, s: s, packages: map[string]int64{}, tables: map[string]bool{}}
	for _, p := range s.Config.Packages {
		v.packages[p.File] = p.Size
	}
	for _, t := range s.Config.Database.Tables {
		v.tables[TablesDir+"/"+t.Name+".csv"] = true
	}
	v.report.Blobs, v.report.Bytes = 2, s.Descriptor.Size+s.Manifest.Config.Size
	v.openCatalog(ctx)
	defer v.closeCatalog()
	for _, desc := range s.Manifest.Layers {
		if desc.Annotations[AnnotationKind] != string(KindCatalog) {
			v.layer(ctx, desc)
		}
		if err := ctx.Err(); err != nil {
			return v.report, err
		}
		v.report.Blobs++
		v.report.Bytes += desc.Size
	}
	v.endCatalog()
	return v.report, ctx.Err()
}

type verifier struct {
	f        content.Fetcher
	s        *Snapshot
	report   Report
	blob     io.ReadCloser  // of the catalog
	catalog  *CatalogReader // nil once it cannot be read
	peeked   *Entry
	packages map[string]int64 // files the config names, by size
	tables   map[string]bool
	sum      KindSum // of the kind being read
	whole    bool    // no part of that kind had a problem
}

func (v *verifier) problem(desc ocispec.Descriptor, holds string, err error) {
	k, part, parts, _ := layerPart(desc)
	v.report.Problems = append(v.report.Problems, Problem{Kind: k, Part: part, Parts: parts, Blob: desc.Digest, Holds: holds, Err: err})
}

func (v *verifier) catalogDesc() ocispec.Descriptor { return v.s.Layers(KindCatalog)[0] }

const holdsCatalog = "the list of all files"

func (v *verifier) openCatalog(ctx context.Context) {
	var err error
	if v.blob, err = v.f.Fetch(ctx, v.catalogDesc()); err == nil {
		v.catalog, err = NewCatalogReader(v.blob)
	}
	if err != nil {
		v.problem(v.catalogDesc(), holdsCatalog, err)
	}
}

func (v *verifier) closeCatalog() {
	if v.catalog != nil {
		v.catalog.Close()
	}
	if v.blob != nil {
		_ = v.blob.Close()
	}
}

// dropCatalog gives the catalog up after err; a damaged blob explains more
// than the record it damaged.
func (v *verifier) dropCatalog(err error) {
	if _, damaged := io.Copy(io.Discard, v.blob); damaged != nil {
		err = damaged
	}
	v.problem(v.catalogDesc(), holdsCatalog, err)
	v.catalog.Close()
	v.catalog, v.peeked = nil, nil
}

// want returns the next record of the catalog if it belongs to layer k, part.
func (v *verifier) want(k Kind, part int) *Entry {
	if v.catalog == nil {
		return nil
	}
	if v.peeked == nil {
		e, err := v.catalog.Next()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				v.dropCatalog(err)
			}
			return nil
		}
		v.peeked = &e
	}
	if v.peeked.Kind != k || v.peeked.Part != part {
		return nil
	}
	e := v.peeked
	v.peeked = nil
	return e
}

// endCatalog checks that every record had its entry, and the blob's digest.
func (v *verifier) endCatalog() {
	if v.catalog == nil {
		return
	}
	if v.peeked == nil {
		e, err := v.catalog.Next()
		switch {
		case err == nil:
			v.peeked = &e
		case !errors.Is(err, io.EOF):
			v.dropCatalog(err)
			return
		}
	}
	if e := v.peeked; e != nil {
		v.dropCatalog(fmt.Errorf("record %q of kind %s, part %d: no layer holds it", e.Path, e.Kind, e.Part))
		return
	}
	if _, err := io.Copy(io.Discard, v.blob); err != nil {
		v.problem(v.catalogDesc(), holdsCatalog, err)
	}
}

func (v *verifier) layer(ctx context.Context, desc ocispec.Descriptor) {
	k, part, parts, _ := layerPart(desc)
	if part == 1 {
		v.sum, v.whole = KindSum{Kind: k}, true
	}
	if k == KindTool {
		if err := v.drain(ctx, desc); err != nil {
			v.problem(desc, "the xcrate program", err)
		}
		return
	}
	var got span
	err := v.entries(ctx, desc, &got)
	if ctx.Err() != nil {
		return
	}
	// Records of this layer that no entry met: needed to say what it holds.
	for e := v.want(k, part); e != nil; e = v.want(k, part) {
		if err == nil {
			err = fmt.Errorf("entry %q: in the catalog, not in the layer", e.Path)
		}
		got.add(e.Path)
	}
	if err == nil && part == parts && v.whole {
		err = v.compareSum(k)
	}
	if err != nil {
		v.whole = false
		v.problem(desc, got.String(), err)
	}
}

// span is the first and last path and the number of entries of a layer.
type span struct {
	first, last string
	n           int
}

func (s *span) add(path string) {
	if s.n == 0 {
		s.first = path
	}
	s.last = path
	s.n++
}

func (s *span) String() string {
	switch s.n {
	case 0:
		return "contents unknown"
	case 1:
		return fmt.Sprintf("1 entry: %q", s.first)
	}
	return fmt.Sprintf("%d entries, %q to %q", s.n, s.first, s.last)
}

func (v *verifier) drain(ctx context.Context, desc ocispec.Descriptor) (err error) {
	r, err := v.f.Fetch(ctx, desc)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	_, err = io.Copy(io.Discard, r)
	return err
}

// entries reads one tar layer side by side with the catalog.
func (v *verifier) entries(ctx context.Context, desc ocispec.Descriptor, got *span) (err error) {
	l, err := OpenLayer(ctx, v.f, desc)
	if err != nil {
		return err
	}
	defer func() {
		if ferr := l.Finish(); ferr != nil && ctx.Err() == nil {
			err = ferr // a damaged blob explains whatever came before
			if got.n > 0 {
				err = fmt.Errorf("%w (readable up to %q)", ferr, got.last)
			}
		}
		err = errors.Join(err, l.Close())
	}()
	for {
		e, r, err := l.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("after entry %q: %w", got.last, err)
		}
		want := v.want(l.kind, l.part)
		if err := v.entry(e, want, r); err != nil {
			return err
		}
		got.add(e.Path)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

func (v *verifier) entry(e Entry, want *Entry, r io.Reader) error {
	if want == nil && v.catalog != nil {
		return fmt.Errorf("entry %q: in the layer, not in the catalog", e.Path)
	}
	if want != nil {
		if err := SameEntry(*want, e); err != nil {
			return err
		}
	}
	d := NewDigester()
	n, err := io.Copy(d, r)
	if err != nil {
		return fmt.Errorf("entry %q: %w", e.Path, err)
	}
	if e.Type == TypeFile && want != nil && d.Sum() != want.Digest {
		return fmt.Errorf("entry %q: content has digest %s, catalog says %s", e.Path, d.Sum(), want.Digest)
	}
	v.report.Entries++
	v.sum.Entries++
	v.sum.Bytes += n
	if e.Type == TypeFile && (want == nil || want.IsFirst()) {
		v.sum.Files++
	}
	if size, ok := v.packages[e.Path]; ok && e.Kind == KindPackages && size == n {
		delete(v.packages, e.Path)
	}
	if e.Kind == KindDatabase {
		delete(v.tables, e.Path)
	}
	return nil
}

// compareSum compares what was read of kind k with what the config says.
func (v *verifier) compareSum(k Kind) error {
	want, _ := v.s.Config.Kind(k)
	if v.sum.Entries != want.Entries || v.sum.Bytes != want.Bytes || v.sum.Files != want.Files {
		return fmt.Errorf("config counts %d entries, %d files, %d bytes; the layers hold %d, %d, %d",
			want.Entries, want.Files, want.Bytes, v.sum.Entries, v.sum.Files, v.sum.Bytes)
	}
	if k == KindPackages && len(v.packages) > 0 {
		return fmt.Errorf("%d packages the config names are not in it as named", len(v.packages))
	}
	if k == KindDatabase && len(v.tables) > 0 {
		return fmt.Errorf("%d tables the config names are not in it", len(v.tables))
	}
	return nil
}
