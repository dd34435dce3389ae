package layers

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"path"

	"github.com/zeebo/blake3"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/archive"
	"github.com/xcrate/xcrate/internal/host"
)

const (
	partBits = 26      // 64 MiB: what a part aims at
	maxPart  = 1 << 30 // what every registry, FAT32 and ISO 9660 take
	maxParts = 800     // of one kind: those of all five stay below 4,096
	// pieceSize is how much of a file that is larger than a part goes into one,
	// with room for its header.
	pieceSize = maxPart - 1<<20
)

// span is what goes into one part: neighbours, or a piece of one large file.
type span struct {
	kind  artifact.Kind
	n     int // number of the part, from 1
	items []item
	piece *piece // nil for whole files
	key   key
}

// piece is a range of a file. All pieces share what was known of it when it was
// cut, so that they agree whatever happens to it meanwhile.
type piece struct {
	entry artifact.Entry // with size and piece
	st    host.Stat
}

// limits are how large a part may be, and what goes into one of a file that is
// larger.
type limits struct{ part, piece int64 }

// cutter divides the items of one kind.
type cutter struct {
	limits
	// divide returns the pieces of a file larger than limits.piece.
	divide func(item) ([]piece, error)
}

// bounds divides n things, sorted by path, into parts of about 64 MiB, and
// returns where each begins. A part begins at a thing if the digest of its path
// is below its share of a part, whatever lies around it: a file that comes, goes
// or changes moves no other boundary, so the next snapshot shares every part but
// one or two with this one. Only when there would be more than maxParts every
// second boundary goes. No part is larger than limit, but for a single thing
// that is.
func bounds(n int, limit int64, stored func(int) int64, number func(int) uint64) []int {
	begins := boundsOf(n, partBits, limit, stored, number)
	for size := partBits + 1; len(begins) > maxParts && size < 40; size++ {
		begins = boundsOf(n, size, limit, stored, number)
	}
	return begins
}

// boundsOf divides into parts of about 1<<partBits bytes.
func boundsOf(n, partBits int, limit int64, stored func(int) int64, number func(int) uint64) []int {
	var begins []int
	size := int64(0)
	for i := range n {
		s := stored(i)
		// The share is a power of two, so that a file that grows a little keeps it:
		// of partBits leading bits of the number, so many must be zero.
		zero := partBits - bits.Len64(uint64(s))
		if i == 0 || zero <= 0 || bits.LeadingZeros64(number(i)) >= zero || size+s > limit {
			begins = append(begins, i)
			size = 0
		}
		size += s
	}
	return begins
}

// pathNumber is a number that depends on the path alone and looks random.
func pathNumber(p []byte) uint64 {
	sum := blake3.Sum256(p)
	return binary.LittleEndian.Uint64(sum[:])
}

// cut divides the items of kind k, sorted by path, into parts.
func (c cutter) cut(k artifact.Kind, items []item) ([]*span, error) {
	var buf []byte
	begins := bounds(len(items), c.part, func(i int) int64 { return items[i].stored() }, func(i int) uint64 {
		buf = append(append(append(buf[:0], items[i].dir.path...), '/'), items[i].name...)
		return pathNumber(buf)
	})
	var spans []*span
	add := func(items []item, p *piece) {
		if len(items) > 0 {
			spans = append(spans, &span{kind: k, n: len(spans) + 1, items: items, piece: p})
		}
	}
	for i, begin := range begins {
		end := len(items)
		if i+1 < len(begins) {
			end = begins[i+1]
		}
		for at := begin; at < end; at++ { // a file that is cut has its parts to itself
			if items[at].size <= c.piece {
				continue
			}
			pieces, err := c.divide(items[at])
			if err != nil {
				return nil, fmt.Errorf("file %s: %w", items[at].path(), err)
			}
			if len(pieces) < 2 {
				continue
			}
			add(items[begin:at], nil)
			for _, p := range pieces {
				add(items[at:at+1], &p)
			}
			begin = at + 1
		}
		add(items[begin:end], nil)
	}
	return spans, nil
}

// dataSize is how much of a file larger than a part is no hole, its size for
// any other.
func (c *capture) dataSize(d *host.Dir, name string, st host.Stat) (_ int64, err error) {
	if st.Size <= c.o.limits.piece || !st.MayHaveHoles() {
		return st.Size, nil
	}
	f, _, err := d.OpenFile(name)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	_, data, err := archive.DataRanges(f, st.Size, c.o.limits.piece)
	return data, err
}

// divide cuts file it into pieces. taken says which names beside it are those
// of other files.
func (c *capture) divide(it item, taken func(string) bool) (_ []piece, err error) {
	d, name, err := c.o.Root.OpenParent(it.path())
	if err != nil {
		return nil, err
	}
	defer func() { _ = d.Close() }()
	e, st, f, err := archive.Open(d, name, it.rel(), c.accounts)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	ends, _, err := archive.DataRanges(f, st.Size, c.o.limits.piece)
	if err != nil || len(ends) < 2 {
		return nil, err
	}
	pieces := make([]piece, len(ends))
	begin := int64(0)
	for i, end := range ends {
		e.Size = end - begin
		e.Piece = artifact.Piece{Number: i + 1, Count: len(ends), Offset: begin, Total: st.Size}
		pieces[i] = piece{entry: e, st: st}
		begin = end
	}
	nameThem(pieces, taken)
	return pieces, nil
}

// nameThem gives each piece the name it is stored under, which no other file
// has: one that is called like a piece may well exist.
func nameThem(pieces []piece, taken func(string) bool) {
	for try := 0; ; try++ {
		free := true
		for i := range pieces {
			e := &pieces[i].entry
			dir, base := path.Split(e.Path)
			e.Piece.Stored = dir + artifact.PieceName(base, i+1, try)
			free = free && !taken(e.Piece.Stored)
		}
		if free {
			return
		}
	}
}
