package pkgmgr

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// xzGuard passes an xz stream on and reads its structure as it goes by ("The .xz
// File Format", https://tukaani.org/xz/xz-file-format.txt, 2 to 4, and the chunks
// of LZMA2), to end it before a block that asks for a dictionary of more than limit
// bytes. The decoder allocates what a block asks for, which may be 4 GiB, and knows
// no limit. What is damaged otherwise is for the decoder to say.
type xzGuard struct {
	in    *bufio.Reader
	limit int64
	pass  int64 // bytes that go by before step looks again
	step  func() error

	check   int64  // bytes of the check after each block
	length  int64  // of the current block's data, or of the index, so far
	numbers uint64 // that the index still has
}

func newXZGuard(in io.Reader, limit int64) *xzGuard {
	g := &xzGuard{in: bufio.NewReaderSize(in, 1<<16), limit: limit}
	g.step = g.stream
	return g
}

// Read implements io.Reader.
func (g *xzGuard) Read(b []byte) (int, error) {
	for g.pass == 0 {
		if err := g.step(); err != nil {
			return 0, err
		}
	}
	n, err := g.in.Read(b[:min(int64(len(b)), g.pass)])
	g.pass -= int64(n)
	return n, err
}

// peek is Peek for a header: one that is cut goes by as it is, and ends there.
func (g *xzGuard) peek(n int) ([]byte, error) {
	b, err := g.in.Peek(n)
	if len(b) > 0 && errors.Is(err, io.EOF) {
		g.pass = int64(len(b))
		return nil, nil
	}
	return b, err
}

// stream is at a stream's header, or at the padding before it.
func (g *xzGuard) stream() error {
	const header = 12
	b, err := g.peek(4)
	if err != nil || b == nil {
		return err
	}
	if binary.LittleEndian.Uint32(b) == 0 {
		g.pass = 4
		return nil
	}
	if b, err = g.peek(header); err != nil || b == nil {
		return err
	}
	g.check = map[byte]int64{0: 0, 1: 4, 4: 8, 10: 32}[b[7]&0xf]
	g.pass, g.step = header, g.block
	return nil
}

// block is at a block's header, or at the index.
func (g *xzGuard) block() error {
	b, err := g.peek(1)
	if err != nil || b == nil {
		return err
	}
	g.length = 0
	if b[0] == 0 {
		g.pass, g.length, g.step = 1, 1, g.indexCount
		return nil
	}
	size := (int(b[0]) + 1) * 4
	if b, err = g.peek(size); err != nil || b == nil {
		return err
	}
	g.pass, g.step = int64(size), g.chunk
	return g.dictionary(b[1:])
}

// dictionary reads a block's flags and its one filter: the decoder takes LZMA2
// alone.
func (g *xzGuard) dictionary(b []byte) error {
	flags, b := b[0], b[1:]
	for _, bit := range []byte{0x40, 0x80} { // sizes of the block, packed and not
		if flags&bit != 0 {
			_, n := binary.Uvarint(b)
			if n <= 0 {
				return errDamagedXZ
			}
			b = b[n:]
		}
	}
	const lzma2 = 0x21
	if flags&0x3 != 0 || len(b) < 3 || b[0] != lzma2 || b[1] != 1 || b[2] > 40 {
		return fmt.Errorf("%w: a filter other than LZMA2", errDamagedXZ)
	}
	if size := int64(2|b[2]&1) << (b[2]/2 + 11); size > g.limit {
		return fmt.Errorf("xz: a dictionary of %d bytes: more than %d", size, g.limit)
	}
	return nil
}

var errDamagedXZ = errors.New("xz: damaged, or of a sort that is not known")

// chunk is at a chunk of LZMA2.
func (g *xzGuard) chunk() error {
	b, err := g.peek(1)
	if err != nil || b == nil {
		return err
	}
	control, size := b[0], 6
	switch {
	case control == 0: // the end: padding and check follow
		g.length++
		g.pass, g.step = 1+(4-g.length%4)%4+g.check, g.block
		return nil
	case control < 0x80:
		size = 3
	case control < 0xc0:
		size = 5
	}
	if b, err = g.peek(size); err != nil || b == nil {
		return err
	}
	g.pass = int64(size) + int64(binary.BigEndian.Uint16(b[min(size-2, 3):])) + 1
	g.length += g.pass
	return nil
}

// indexCount is at the number of an index's records, each of two numbers.
func (g *xzGuard) indexCount() error {
	n, err := g.number()
	if err == nil {
		g.numbers, g.step = 2*n, g.index
	}
	return err
}

// index is at a number of the index, or at its end: padding, check and the footer
// follow.
func (g *xzGuard) index() error {
	if g.numbers > 0 {
		g.numbers--
		_, err := g.number()
		return err
	}
	const check, footer = 4, 12
	g.pass, g.step = (4-g.length%4)%4+check+footer, g.stream
	return nil
}

func (g *xzGuard) number() (uint64, error) {
	b, err := g.in.Peek(9)
	if len(b) == 0 {
		return 0, err
	}
	v, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, errDamagedXZ
	}
	g.pass = int64(n)
	g.length += g.pass
	return v, nil
}
