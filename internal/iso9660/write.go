package iso9660

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
)

// Options say what an image is called.
type Options struct {
	// Label is the volume identifier: 1 to 16 of A-Z, 0-9 and _, so that it is whole in
	// Joliet too.
	Label string
	// Created is the time of all that is in the image, in whole seconds.
	Created     time.Time
	Application string
	// Set names the set of volumes that this is number Number of Of of; "", 1 and 1 for an
	// image that is alone. ECMA-119 has all volumes of a set in one directory tree, which
	// these are not: the numbers stand in the identifiers only.
	Set        string
	Number, Of int
}

var labelPattern = regexp.MustCompile(`^[A-Z0-9_]{1,16}$`)

func (o Options) check() error {
	switch {
	case !labelPattern.MatchString(o.Label):
		return fmt.Errorf("label %q: not 1 to 16 of A-Z, 0-9 and _", o.Label)
	case o.Set != "" && !labelPattern.MatchString(o.Set):
		return fmt.Errorf("set %q: not 1 to 16 of A-Z, 0-9 and _", o.Set)
	case o.Created.UTC().Year() < 1900 || o.Created.UTC().Year() > 2155:
		return fmt.Errorf("time %s: the year is not one from 1900 to 2155", o.Created)
	}
	return nil
}

// image is a plan: where everything lies.
type image struct {
	o     Options
	dirs  [2][]*node
	files []*node

	tables [2]uint32 // first sector of the path tables of a tree, L then M
	table  [2]int64  // length of one of them, in bytes
	total  int64     // sectors
}

// plan finds a place for everything.
func plan(files []File, o Options) (*image, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	root, err := newTree(files)
	if err != nil {
		return nil, err
	}
	i := &image{o: o, files: root.files()}
	next := int64(systemArea + 3) // two descriptors and the end of them
	for _, t := range []tree{primary, joliet} {
		i.dirs[t] = root.directories(t)
		if len(i.dirs[t]) > 1<<16-1 {
			return nil, fmt.Errorf("%d directories, at most %d", len(i.dirs[t]), 1<<16-1)
		}
		i.table[t] = int64(len(pathTable(i.dirs[t], t, binary.LittleEndian)))
		i.tables[t] = uint32(next)
		next += 2 * sectors(i.table[t])
	}
	for _, t := range []tree{primary, joliet} {
		for _, d := range i.dirs[t] {
			d.where[t] = uint32(next)
			d.size[t] = int64(len(d.extent(t, o.Created)))
			next += sectors(d.size[t])
		}
	}
	for _, f := range i.files {
		if f.file.Size > 0 {
			f.where[primary] = uint32(next)
		}
		next += sectors(f.file.Size)
	}
	i.total = next + padding
	if i.total > 1<<32-1 {
		return nil, fmt.Errorf("%d bytes: more than an image can hold", i.total*sector)
	}
	return i, nil
}

// Size is how many bytes the image of files has. No file is opened.
func Size(files []File, o Options) (int64, error) {
	i, err := plan(files, o)
	if err != nil {
		return 0, err
	}
	return i.total * sector, nil
}

// Write writes an image of files, in one pass: the same files and options give the same
// bytes. Names that are taken twice or cannot be written are refused first. A file whose
// content has another length than it says is an error, and so is the end of ctx.
func Write(ctx context.Context, w io.Writer, files []File, o Options) error {
	i, err := plan(files, o)
	if err != nil {
		return err
	}
	if _, err := w.Write(i.head()); err != nil {
		return err
	}
	for _, t := range []tree{primary, joliet} {
		for _, d := range i.dirs[t] {
			if _, err := w.Write(d.extent(t, o.Created)); err != nil {
				return err
			}
		}
	}
	buf := make([]byte, 1<<20)
	for _, f := range i.files {
		if err := writeFile(ctx, w, f.file, buf); err != nil {
			return fmt.Errorf("file %q: %w", f.file.Path, err)
		}
	}
	_, err = w.Write(make([]byte, padding*sector))
	return err
}

// head is everything before the directories.
func (i *image) head() []byte {
	var b bytes.Buffer
	b.Write(make([]byte, systemArea*sector))
	b.Write(i.descriptor(primary))
	b.Write(i.descriptor(joliet))
	end := make([]byte, sector)
	copy(end, "\xff"+standardID+"\x01")
	b.Write(end)
	for _, t := range []tree{primary, joliet} {
		for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
			table := pathTable(i.dirs[t], t, order)
			b.Write(table)
			b.Write(make([]byte, sectors(i.table[t])*sector-int64(len(table))))
		}
	}
	return b.Bytes()
}

// writeFile writes a file's content, to the end of its last sector.
func writeFile(ctx context.Context, w io.Writer, f *File, buf []byte) (err error) {
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	var n int64
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		got, rerr := r.Read(buf)
		if n += int64(got); n > f.Size {
			return fmt.Errorf("longer than the %d bytes it was said to have", f.Size)
		}
		if _, err := w.Write(buf[:got]); err != nil {
			return err
		}
		if errors.Is(rerr, io.EOF) {
			break
		}
		if rerr != nil {
			return rerr
		}
	}
	if n < f.Size {
		return fmt.Errorf("%d bytes of %d: %w", n, f.Size, io.ErrUnexpectedEOF)
	}
	_, err = w.Write(make([]byte, sectors(n)*sector-n))
	return err
}

// descriptor is a volume descriptor (ECMA-119 8.4, 8.5; Joliet, "Escape Sequences").
func (i *image) descriptor(t tree) []byte {
	b := make([]byte, sector)
	copy(b[1:], standardID+"\x01")
	b[0] = typePrimary
	if t == joliet {
		b[0] = typeSupplementary
		copy(b[88:], "%/E") // UCS-2 level 3
	}
	text := func(at, size int, s string) {
		if t == joliet {
			s = "\x00" + strings.Join(strings.Split(s, ""), "\x00")
			if len(s) == 1 {
				s = ""
			}
		}
		blank := []byte(" ")
		if t == joliet {
			blank = []byte("\x00 ")
		}
		copy(b[at:at+size], bytes.Repeat(blank, size/len(blank)))
		copy(b[at:at+size], s)
	}
	text(8, 32, "")
	text(40, 32, i.o.Label)
	both32(b[80:], uint32(i.total))
	both16(b[120:], 1) // volume set size
	both16(b[124:], 1) // number in it
	both16(b[128:], sector)
	both32(b[132:], uint32(i.table[t]))
	binary.LittleEndian.PutUint32(b[140:], i.tables[t])
	binary.BigEndian.PutUint32(b[148:], i.tables[t]+uint32(sectors(i.table[t])))
	root := i.dirs[t][0]
	copy(b[156:190], record([]byte{0}, root.where[t], root.size[t], flagDirectory, i.o.Created, nil))
	text(190, 128, i.set())
	text(318, 128, "")
	text(446, 128, "")
	text(574, 128, dCharacters(i.o.Application))
	for _, at := range []int{702, 739, 776} {
		text(at, 36, "") // 37 bytes, of which Joliet leaves the last
		if t == primary {
			b[at+36] = ' '
		}
	}
	for _, at := range []int{813, 830} { // created, modified
		copy(b[at:], i.o.Created.UTC().Format("20060102150405")+"00")
	}
	for _, at := range []int{847, 864} { // no end, and valid at once
		copy(b[at:], strings.Repeat("0", 16))
	}
	b[881] = 1
	return b
}

// set is the volume set identifier: the set, and the volume's number in it.
func (i *image) set() string {
	if i.o.Of <= 1 {
		return i.o.Set
	}
	return fmt.Sprintf("%s_%d_OF_%d", i.o.Set, i.o.Number, i.o.Of)
}
