package artifact

import (
	"context"
	"errors"
	"fmt"
	"io"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
)

// Records travel in batches, because a record by itself costs less than handing
// it over. Those on their way to one layer are at most the product: more than a
// usual part has, so that the catalog is read ahead of all layers in flight.
const (
	batchRecords = 256
	maxBatches   = 256
)

// records are the catalog's records of one layer, on their way from the one
// reader of the catalog to who checks the layer. Who checks it takes them all,
// or the catalog's reader waits for ever.
type records struct {
	batches chan []Entry
	batch   []Entry // rest of the last one taken
	// broken says that the catalog could not be read to the end of the layer's
	// records. It may be read once next has returned nil.
	broken bool
}

func newRecords() records { return records{batches: make(chan []Entry, maxBatches)} }

// next returns the next record, nil after the last.
func (r *records) next() *Entry {
	for len(r.batch) == 0 {
		var ok bool
		if r.batch, ok = <-r.batches; !ok {
			return nil
		}
	}
	e := &r.batch[0]
	r.batch = r.batch[1:]
	return e
}

// feed reads the catalog and hands its records out, layer by layer.
type feed struct {
	blob    *aheadBlob     // nil if there is none to read
	catalog *CatalogReader // nil once it cannot be read
	record  Entry          // the next one, if peeked
	peeked  bool
	err     error // why it cannot be read
	tree    *treeCheck
}

func openFeed(ctx context.Context, f content.Fetcher, desc ocispec.Descriptor) *feed {
	fd := &feed{tree: newTreeCheck()}
	if fd.blob, fd.err = fetchAhead(ctx, f, desc); fd.err == nil {
		fd.catalog, fd.err = NewCatalogReader(fd.blob)
	}
	return fd
}

// peek returns the next record without taking it, nil if there is none.
func (f *feed) peek() *Entry {
	if !f.peeked && f.catalog != nil {
		var err error
		if f.record, err = f.catalog.Next(); err == nil {
			err = f.tree.note(&f.record)
		}
		f.peeked = err == nil
		if err != nil && !errors.Is(err, io.EOF) {
			f.drop(err)
		}
	}
	if !f.peeked {
		return nil
	}
	return &f.record
}

// to hands out the records of the layer that c checks. The end of ctx ends it.
func (f *feed) to(ctx context.Context, c *layerCheck) {
	defer close(c.records.batches)
	var batch []Entry
	send := func() {
		if len(batch) == 0 {
			return
		}
		select {
		case c.records.batches <- batch:
		case <-ctx.Done():
		}
		batch = nil
	}
	for e := f.peek(); e != nil && e.Kind == c.sum.Kind && e.Part == c.part && ctx.Err() == nil; e = f.peek() {
		if batch == nil {
			batch = make([]Entry, 0, batchRecords)
		}
		batch = append(batch, *e)
		f.peeked = false
		if len(batch) == batchRecords {
			send()
		}
	}
	send()
	c.records.broken = f.catalog == nil
}

// drop gives the catalog up after err; a damaged blob explains more than the
// record it damaged.
func (f *feed) drop(err error) {
	if _, damaged := io.Copy(io.Discard, f.blob); damaged != nil {
		err = damaged
	}
	f.err = err
	f.catalog.Close()
	f.catalog, f.peeked = nil, false
}

// end checks that every record had its layer, and the blob's digest, and returns
// what is wrong with the catalog.
func (f *feed) end() error {
	if e := f.peek(); e != nil {
		f.drop(fmt.Errorf("record %q of kind %s, part %d: no layer holds it", e.Path, e.Kind, e.Part))
	}
	if f.catalog != nil {
		_, f.err = io.Copy(io.Discard, f.blob)
		f.catalog.Close()
	}
	if f.blob != nil {
		_ = f.blob.Close() // it was only read
	}
	return f.err
}
