package pkgmgr

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"io"

	"github.com/xcrate/xcrate/internal/host"
)

// Layout of Packages.db (rpm's lib/backend/ndb/rpmpkg.c): all numbers are 32
// bits, little endian. The first page begins with a header in the place of two
// slots; slots fill the pages, blobs follow in blocks.
const (
	ndbMagic     = "RpmP"
	ndbSlotMagic = "Slot"
	ndbBlobMagic = "BlbS"
	ndbTailMagic = "BlbE"

	ndbPage  = 4096
	ndbBlock = 16
	ndbSlot  = 16
	ndbHead  = 16 // magic, package number, generation, length
	ndbTail  = 12 // Adler-32 of head and data, length, magic
	// ndbMaxPages is room for half a million packages.
	ndbMaxPages = 2048
)

// eachNDB reads Packages.db, SUSE's.
func eachNDB(_ context.Context, dir *host.Root, file string, fn func([]byte) error) error {
	f, size, err := openCopy(dir, file)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return readNDB(f, size, fn)
}

func readNDB(f io.ReaderAt, size int64, fn func([]byte) error) error {
	slots, err := ndbSlots(f)
	if err != nil {
		return err
	}
	left := size // blobs do not overlap
	for at := 2 * ndbSlot; at < len(slots); at += ndbSlot {
		slot := slots[at : at+ndbSlot]
		if string(slot[:4]) != ndbSlotMagic {
			return fmt.Errorf("%w: slot %d", errDamaged, at/ndbSlot)
		}
		number, block, count := le32(slot[4:]), le32(slot[8:]), le32(slot[12:])
		if block == 0 {
			continue // free
		}
		if left -= int64(count) * ndbBlock; left < 0 {
			return fmt.Errorf("%w: package %d: more bytes than the file has", errDamaged, number)
		}
		blob, err := ndbBlob(f, size, number, int64(block)*ndbBlock, int64(count)*ndbBlock)
		if err != nil {
			return fmt.Errorf("package %d: %w", number, err)
		}
		if err := fn(blob); err != nil {
			return fmt.Errorf("package %d: %w", number, err)
		}
	}
	return nil
}

func ndbSlots(f io.ReaderAt) ([]byte, error) {
	head := make([]byte, 2*ndbSlot)
	if _, err := f.ReadAt(head, 0); err != nil {
		return nil, truncated(err)
	}
	version, pages := le32(head[4:]), le32(head[12:])
	if string(head[:4]) != ndbMagic || version != 0 || pages == 0 || pages > ndbMaxPages {
		return nil, fmt.Errorf("no ndb database that is known: magic %q, version %d, %d pages", head[:4], version, pages)
	}
	slots := make([]byte, pages*ndbPage)
	if _, err := f.ReadAt(slots, 0); err != nil {
		return nil, truncated(err)
	}
	return slots, nil
}

// ndbBlob reads the blob of package number that takes length bytes at off.
func ndbBlob(f io.ReaderAt, size int64, number uint32, off, length int64) ([]byte, error) {
	if length < ndbHead+ndbTail || off+length > size {
		return nil, fmt.Errorf("%w: %d bytes at %d of %d", errDamaged, length, off, size)
	}
	b := make([]byte, length)
	if _, err := f.ReadAt(b, off); err != nil {
		return nil, truncated(err)
	}
	n := int64(le32(b[12:]))
	tail := length - ndbTail // padding lies between data and tail
	switch {
	case string(b[:4]) != ndbBlobMagic, le32(b[4:]) != number, n > tail-ndbHead, tail-ndbHead-n >= ndbBlock:
		return nil, fmt.Errorf("%w: head", errDamaged)
	case string(b[tail+8:]) != ndbTailMagic, int64(le32(b[tail+4:])) != n:
		return nil, fmt.Errorf("%w: tail", errDamaged)
	case adler32.Checksum(b[:tail]) != le32(b[tail:]):
		return nil, fmt.Errorf("%w: Adler-32 differs", errDamaged)
	}
	return b[ndbHead : ndbHead+n], nil
}

func le32(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }

// openCopy opens a file of a private copy.
func openCopy(dir *host.Root, file string) (*host.File, int64, error) {
	d, err := dir.OpenDir("/")
	if err != nil {
		return nil, 0, err
	}
	f, st, err := d.OpenFile(file)
	return f, st.Size, errors.Join(err, d.Close())
}
