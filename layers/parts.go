package layers

import (
	"context"
	"encoding/binary"
	"math/bits"

	"github.com/zeebo/blake3"

	"github.com/xcrate/xcrate/artifact"
)

const (
	partSize = 64 << 20 // what a part aims at
	maxPart  = 1 << 30  // what every registry, FAT32 and ISO 9660 take
	maxParts = 800      // of one kind: those of all five stay below 4,096
)

// cut divides the items of a kind, sorted by path, into parts of about
// partSize. A part begins at a path whose digest says so, whatever lies around
// it: a file that comes, goes or changes moves no other boundary, so the next
// snapshot shares every part but one or two with this one. Only when the
// number of items to a part doubles do boundaries go away, every second one.
//
// No part is larger than maxPart, but for a single file that is.
func cut(items []item) [][]item {
	var total int64
	for _, it := range items {
		total += it.stored()
	}
	every := uint64(0) // one part
	if total > partSize {
		every = 1 << max(bits.Len64(uint64(len(items))*partSize/uint64(total))-1, 0)
	}
	parts := cutEvery(items, every)
	for len(parts) > maxParts && every < 1<<40 {
		every *= 2
		parts = cutEvery(items, every)
	}
	return parts
}

// cutEvery begins a part at one path in every, and none if every is 0.
func cutEvery(items []item, every uint64) [][]item {
	var parts [][]item
	begin, size := 0, int64(0)
	for i, it := range items {
		boundary := every != 0 && pathNumber(it.path)%every == 0
		if i > begin && (boundary || size+it.stored() > maxPart) {
			parts = append(parts, items[begin:i])
			begin, size = i, 0
		}
		size += it.stored()
	}
	return append(parts, items[begin:])
}

// stored is about what the item takes in a tar stream.
func (it item) stored() int64 { return it.size + 1024 }

// pathNumber is a number that depends on the path alone and looks random.
func pathNumber(p string) uint64 {
	sum := blake3.Sum256([]byte(p))
	return binary.LittleEndian.Uint64(sum[:])
}

const (
	samples     = 16
	sampleBytes = 64 << 10
)

// mediaType decides whether a part is worth compressing: a sample of its bytes
// must shrink by a tenth. Archives, images and packages do not; reading them
// back is then bound by nothing but the disk.
func (c *capture) mediaType(ctx context.Context, part []item) (string, error) {
	sample, err := c.sample(ctx, part)
	if err != nil {
		return "", err
	}
	var packed byteCounter
	z, err := artifact.NewZstdWriter(&packed)
	if err != nil {
		return "", err
	}
	if _, err := z.Write(sample); err != nil {
		return "", err
	}
	if err := z.Close(); err != nil {
		return "", err
	}
	if len(sample) > sampleBytes && int64(packed) > int64(len(sample))*9/10 {
		return artifact.TypeTar, nil
	}
	return artifact.TypeTarZstd, nil
}

// sample reads from the files in which equally spaced bytes of the part lie, so
// that large files count for more.
func (c *capture) sample(ctx context.Context, part []item) ([]byte, error) {
	var total int64
	for _, it := range part {
		total += it.size
	}
	var sample []byte
	end, next := int64(0), int64(0)
	for _, it := range part {
		end += it.size
		if it.size == 0 || next >= end {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		sample = append(sample, c.head(it.path)...)
		for next < end {
			next += max(total/samples, 1)
		}
	}
	return sample, nil
}

// head returns the first bytes of a file, none where they cannot be read: what
// is wrong with it will be said when it is written.
func (c *capture) head(p string) []byte {
	d, name, err := c.o.Root.OpenParent(p)
	if err != nil {
		return nil
	}
	defer func() { _ = d.Close() }()
	b, err := readSmall(d, name, sampleBytes)
	if err != nil {
		return nil
	}
	return b
}
