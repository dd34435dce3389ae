package pkgmgr

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/xcrate/xcrate/internal/host"
)

// Layout of a Berkeley DB hash file (Berkeley DB's src/dbinc/db_page.h; rpm's
// lib/backend/bdb_ro.c reads the same). Numbers have the order of bytes of the
// machine that wrote it.
const (
	bdbHashMagic = 0x00061561
	bdbMeta      = 512 // bytes of the first page that mean something
	bdbHead      = 26  // of every other page

	bdbHashUnsorted = 2 // types of pages
	bdbOverflow     = 7
	bdbHashEmpty    = 8
	bdbHashSorted   = 13

	bdbOnPage    = 1 // types of items
	bdbOffPage   = 3 // page and length of what lies in overflow pages
	bdbOffLength = 12
)

// bdbFile is an open hash file.
type bdbFile struct {
	r        io.ReaderAt
	order    binary.ByteOrder
	pageSize uint32
	lastPage uint32
	buckets  uint32     // the highest of them
	spares   [32]uint32 // what to add to a bucket for its page, by the bucket's length in bits
	// left counts the pages that were not read yet: each belongs to one bucket
	// or one value, so a file cannot lead in circles.
	left uint32
}

// eachBDB reads Packages, that of EL 8 and before: a hash of package numbers,
// whose values are headers.
func eachBDB(_ context.Context, dir *host.Root, file string, fn func([]byte) error) error {
	f, size, err := openCopy(dir, file)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return readBDB(f, size, fn)
}

func readBDB(f io.ReaderAt, size int64, fn func([]byte) error) error {
	db, err := openBDB(f, size)
	if err != nil {
		return err
	}
	for bucket := uint32(0); bucket <= db.buckets; bucket++ {
		if err := db.eachInBucket(bucket, fn); err != nil {
			return fmt.Errorf("bucket %d: %w", bucket, err)
		}
	}
	return nil
}

func openBDB(f io.ReaderAt, size int64) (*bdbFile, error) {
	meta := make([]byte, bdbMeta)
	if _, err := f.ReadAt(meta, 0); err != nil {
		return nil, truncated(err)
	}
	db := &bdbFile{r: f, order: binary.LittleEndian}
	if db.order.Uint32(meta[12:]) != bdbHashMagic {
		db.order = binary.BigEndian
	}
	number := func(i int) uint32 { return db.order.Uint32(meta[4*i:]) }
	if version := number(4); number(3) != bdbHashMagic || version < 8 || version > 10 || meta[24] != 0 {
		return nil, fmt.Errorf("no Berkeley DB hash that is known: magic %08x, version %d, encryption %d", number(3), version, meta[24])
	}
	db.pageSize, db.lastPage, db.buckets = number(5), number(8), number(18)
	for i := range db.spares {
		db.spares[i] = number(24 + i)
	}
	if db.pageSize < bdbMeta || db.pageSize > 1<<16 || db.pageSize&(db.pageSize-1) != 0 {
		return nil, fmt.Errorf("%w: pages of %d bytes", errDamaged, db.pageSize)
	}
	if (int64(db.lastPage)+1)*int64(db.pageSize) > size {
		return nil, fmt.Errorf("%d pages of %d bytes in a file of %d: %w", db.lastPage+1, db.pageSize, size, truncated(io.ErrUnexpectedEOF))
	}
	if db.buckets > db.lastPage {
		return nil, fmt.Errorf("%w: %d buckets in %d pages", errDamaged, db.buckets, db.lastPage)
	}
	db.left = db.lastPage
	return db, nil
}

// page reads page number n, which must be of one of types.
func (db *bdbFile) page(n uint32, types ...byte) ([]byte, error) {
	if n == 0 || n > db.lastPage {
		return nil, fmt.Errorf("%w: page %d of %d", errDamaged, n, db.lastPage)
	}
	if db.left == 0 {
		return nil, fmt.Errorf("%w: its pages form a circle", errDamaged)
	}
	db.left--
	p := make([]byte, db.pageSize)
	if _, err := db.r.ReadAt(p, int64(n)*int64(db.pageSize)); err != nil {
		return nil, truncated(err)
	}
	if got := db.order.Uint32(p[8:]); got != n || !bytes.ContainsRune(types, rune(p[25])) {
		return nil, fmt.Errorf("%w: page %d says it is %d of type %d", errDamaged, n, got, p[25])
	}
	return p, nil
}

// eachInBucket walks the chain of pages of one bucket.
func (db *bdbFile) eachInBucket(bucket uint32, fn func([]byte) error) error {
	bits := 0
	for b := bucket; b > 0; b >>= 1 {
		bits++
	}
	if bits >= len(db.spares) {
		return fmt.Errorf("%w: no such bucket", errDamaged)
	}
	next := bucket + db.spares[bits]
	for next != 0 {
		p, err := db.page(next, bdbHashUnsorted, bdbHashEmpty, bdbHashSorted)
		if err != nil {
			return err
		}
		if err := db.eachOnPage(p, fn); err != nil {
			return fmt.Errorf("page %d: %w", next, err)
		}
		next = db.order.Uint32(p[16:])
	}
	return nil
}

// eachOnPage calls fn with the values on page p. Items come in pairs of key and
// value and fill the page from its end: an item ends where the one before it
// begins.
func (db *bdbFile) eachOnPage(p []byte, fn func([]byte) error) error {
	items := int(db.order.Uint16(p[20:]))
	if items%2 != 0 || bdbHead+2*items > len(p) {
		return fmt.Errorf("%w: %d items", errDamaged, items)
	}
	end := len(p)
	var key []byte
	for i := range items {
		start := int(db.order.Uint16(p[bdbHead+2*i:]))
		if start >= end || start < bdbHead+2*items {
			return fmt.Errorf("%w: item %d at %d", errDamaged, i, start)
		}
		item, err := db.item(p[start:end])
		if err != nil {
			return err
		}
		end = start
		if i%2 == 0 {
			key = item
			continue
		}
		if len(key) != 4 {
			return fmt.Errorf("%w: key of %d bytes", errDamaged, len(key))
		}
		if bytes.Equal(key, make([]byte, 4)) {
			continue // no package: the number of the next one
		}
		if err := fn(item); err != nil {
			return fmt.Errorf("package %d: %w", db.order.Uint32(key), err)
		}
	}
	return nil
}

// item returns what an item of a page is: what stands there, or in the
// overflow pages it names.
func (db *bdbFile) item(b []byte) ([]byte, error) {
	switch {
	case b[0] == bdbOnPage:
		return b[1:], nil
	case b[0] != bdbOffPage || len(b) != bdbOffLength:
		return nil, fmt.Errorf("%w: item of type %d and %d bytes", errDamaged, b[0], len(b))
	}
	next, want := db.order.Uint32(b[4:]), int64(db.order.Uint32(b[8:]))
	if want > int64(db.lastPage)*int64(db.pageSize) {
		return nil, fmt.Errorf("%w: value of %d bytes", errDamaged, want)
	}
	value := make([]byte, 0, want)
	for int64(len(value)) < want {
		p, err := db.page(next, bdbOverflow)
		if err != nil {
			return nil, err
		}
		n := int64(db.order.Uint16(p[22:]))
		if n == 0 || bdbHead+n > int64(len(p)) || int64(len(value))+n > want {
			return nil, fmt.Errorf("%w: overflow page %d of %d bytes", errDamaged, next, n)
		}
		value = append(value, p[bdbHead:bdbHead+n]...)
		next = db.order.Uint32(p[16:])
	}
	if next != 0 {
		return nil, fmt.Errorf("%w: value goes on in page %d after its %d bytes", errDamaged, next, want)
	}
	return value, nil
}
