package artifact

import (
	"context"
	"fmt"
	"runtime"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"
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
	Blobs   int
	Bytes   int64
	Entries int64
	// Sealed are the kinds whose contents nobody had the key for: their blobs are
	// what was written, and what is in them was not looked at.
	Sealed   []Kind
	Problems []Problem
}

// Verify reads every blob of snapshot s, which Load returned: size and digest
// (the fetcher checks both), structure of each tar stream, every entry against
// the catalog and what the config counts. It goes on after a problem, so that
// the report is whole; problems stand in the order of the manifest. The error is
// only about being interrupted, and then there is no report.
//
// Layers are verified side by side, one per core, so f must be safe for
// concurrent use. The report does not depend on how many there are.
func Verify(ctx context.Context, f content.Fetcher, s *Snapshot) (Report, error) {
	v := verifier{f: f, s: s, packages: map[string]int64{}, tables: map[string]bool{}}
	for _, p := range s.Config.Packages {
		v.packages[p.File] = p.Size
	}
	for _, t := range s.Config.Database.Tables {
		v.tables[TablesDir+"/"+t.Name+".csv"] = true
	}
	checks := v.run(ctx)
	if err := ctx.Err(); err != nil {
		return Report{}, err
	}
	r := v.report(checks)
	if len(r.Problems) == 0 { // else the catalog may be the one that is damaged
		if err := v.tree.finish(ctx, f, s); err != nil {
			r.Problems = append(r.Problems, catalogProblem(s, err))
		}
	}
	return r, ctx.Err()
}

// catalogProblem is something wrong with what the catalog says.
func catalogProblem(s *Snapshot, err error) Problem {
	c := newLayerCheck(s.Layers(KindCatalog)[0], nil)
	return Problem{Kind: KindCatalog, Part: c.part, Parts: c.parts, Blob: c.desc.Digest, Holds: c.holds(), Err: err}
}

type verifier struct {
	f    content.Fetcher
	s    *Snapshot
	tree *treeCheck // has noted every entry once run has ended
	mu   sync.Mutex // guards the two below
	// What the config names and no layer had yet.
	packages map[string]int64 // by file, sizes
	tables   map[string]bool  // by file
}

// run checks all layers. Records of the catalog go to who checks their layer
// while it is being checked, one layer after the other: a layer begins when all
// records of those before it are on their way, so nothing waits for ever.
func (v *verifier) run(ctx context.Context) []*layerCheck {
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	feed := openFeed(ctx, v.f, v.s.Layers(KindCatalog)[0])
	v.tree = feed.tree
	var checks []*layerCheck
	var catalog *layerCheck
	for _, desc := range v.s.Manifest.Layers {
		if ctx.Err() != nil {
			break
		}
		c := newLayerCheck(desc, v.s.Key)
		checks = append(checks, c)
		switch c.sum.Kind {
		case KindCatalog:
			catalog = c
			continue
		case KindTool:
			g.Go(func() error { c.drain(ctx, v.f); return nil })
		default:
			g.Go(func() error { c.check(ctx, v); return nil })
			feed.to(ctx, c)
		}
	}
	err := feed.end()
	if catalog != nil {
		catalog.err = err
	}
	_ = g.Wait() // a check keeps its error
	return checks
}

// report sums up what was found, kind by kind.
func (v *verifier) report(checks []*layerCheck) Report {
	r := Report{Blobs: 2, Bytes: v.s.Descriptor.Size + v.s.Manifest.Config.Size}
	var sum KindSum // of the kind so far
	whole := true   // no part of it had a problem
	for _, c := range checks {
		r.Blobs++
		r.Bytes += c.desc.Size
		r.Entries += c.sum.Entries
		if c.sealed && c.part == 1 {
			r.Sealed = append(r.Sealed, c.sum.Kind)
		}
		if c.part == 1 {
			sum, whole = KindSum{Kind: c.sum.Kind}, true
		}
		sum.Entries += c.sum.Entries
		sum.Files += c.sum.Files
		sum.Bytes += c.sum.Bytes
		if c.err == nil && whole && c.part == c.parts && sum.Kind.HasEntries() {
			c.err = v.compareSum(sum)
		}
		if c.err != nil {
			whole = false
			r.Problems = append(r.Problems, Problem{
				Kind: c.sum.Kind, Part: c.part, Parts: c.parts, Blob: c.desc.Digest, Holds: c.holds(), Err: c.err,
			})
		}
	}
	return r
}

// compareSum compares what was read of a kind with what the config says.
func (v *verifier) compareSum(got KindSum) error {
	want, _ := v.s.Config.Kind(got.Kind)
	if got.Entries != want.Entries || got.Bytes != want.Bytes || got.Files != want.Files {
		return fmt.Errorf("config counts %d entries, %d files, %d bytes; the layers hold %d, %d, %d",
			want.Entries, want.Files, want.Bytes, got.Entries, got.Files, got.Bytes)
	}
	if got.Kind == KindPackages && len(v.packages) > 0 {
		return fmt.Errorf("%d packages the config names are not in it as named", len(v.packages))
	}
	if got.Kind == KindDatabase && len(v.tables) > 0 {
		return fmt.Errorf("%d tables the config names are not in it", len(v.tables))
	}
	return nil
}

// seen notes that file path with n bytes is in a layer of kind k.
func (v *verifier) seen(k Kind, path string, n int64) {
	if k != KindPackages && k != KindDatabase {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if size, ok := v.packages[path]; ok && k == KindPackages && size == n {
		delete(v.packages, path)
	}
	if k == KindDatabase {
		delete(v.tables, path)
	}
}
