package iso9660

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"
	"unicode/utf16"
)

// What an image may make a reader keep in memory. Snapshots have some thousand files.
const (
	maxDirBytes = 64 << 20 // of all directories
	maxEntries  = 1_000_000
	maxDepth    = 64
)

// Image is an image that was opened. It implements fs.FS, fs.StatFS and fs.ReadDirFS,
// and is safe for concurrent use. The files it opens are io.ReaderAt and io.Seeker too.
type Image struct {
	r     io.ReaderAt
	size  int64
	label string
	names naming
	skip  int // bytes before SUSP entries
	root  *entry
	budget
}

// budget is what is left of what reading may take.
type budget struct{ bytes, entries int64 }

// naming is whose names are used.
type naming int

const (
	plainNames naming = iota
	jolietNames
	rockRidgeNames
)

// Label is the volume identifier, without the blanks that fill it up.
func (i *Image) Label() string { return i.label }

// Open reads the descriptors and all directories of an image of size bytes. Errors wrap
// ErrImage, but for those of r.
func Open(r io.ReaderAt, size int64) (*Image, error) {
	i := &Image{r: r, size: size, budget: budget{maxDirBytes, maxEntries}}
	root, err := i.descriptors()
	if err != nil {
		return nil, err
	}
	if root, err = i.rockRidge(root); err != nil {
		return nil, err
	}
	i.root = &entry{name: ".", dir: true, mode: fs.ModeDir | dirPerm, extents: root.extents, time: root.time}
	return i, i.readAll()
}

func broken(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrImage, fmt.Sprintf(format, args...))
}

// descriptors finds the trees (ECMA-119 8.1): the primary one, and Joliet's. It returns
// the root of Joliet's if there is one.
func (i *Image) descriptors() (root rawRecord, err error) {
	const most = 64 // a few are usual
	var found bool
	for at := int64(systemArea); at < systemArea+most; at++ {
		b := make([]byte, sector)
		if _, err := i.r.ReadAt(b, at*sector); err != nil {
			if errors.Is(err, io.EOF) {
				return root, broken("it ends at byte %d, before its descriptors do", i.size)
			}
			return root, err
		}
		if string(b[1:6]) != standardID {
			if string(b[1:6]) == "BEA01" || !found {
				return root, broken("no volume descriptor in sector %d", at)
			}
			return root, broken("sector %d: no end of the descriptors", at)
		}
		switch b[0] {
		case typeEnd:
			if !found {
				return root, broken("no primary volume descriptor")
			}
			return root, nil
		case typePrimary, typeSupplementary:
			if b[0] == typeSupplementary && !isJoliet(b) || b[0] == typePrimary && found {
				continue
			}
			if root, err = i.volume(b); err != nil {
				return root, fmt.Errorf("sector %d: %w", at, err)
			}
			found = true
		}
	}
	return root, broken("more than %d descriptors", most)
}

// isJoliet reports whether the descriptor's names are UCS-2 (Joliet, "Escape Sequences").
func isJoliet(b []byte) bool {
	esc := string(b[88:91])
	return esc == "%/@" || esc == "%/C" || esc == "%/E"
}

// volume reads a descriptor, and keeps what it says of the image.
func (i *Image) volume(b []byte) (rawRecord, error) {
	if n := binary.LittleEndian.Uint16(b[128:]); n != sector {
		return rawRecord{}, broken("logical blocks of %d bytes", n)
	}
	if b[0] == typePrimary {
		i.label = strings.TrimRight(string(b[40:72]), " \x00")
		if total := int64(binary.LittleEndian.Uint32(b[80:])) * sector; total > i.size {
			return rawRecord{}, broken("it is cut off: %d bytes of %d", i.size, total)
		}
	} else {
		i.names = jolietNames
	}
	root, err := i.parseRecord(b[156:190])
	if err == nil && !root.dir {
		err = broken("its root is no directory")
	}
	return root, err
}

// rockRidge looks whether the primary tree has Rock Ridge's names, and returns its root
// then, else root.
func (i *Image) rockRidge(root rawRecord) (rawRecord, error) {
	b := make([]byte, sector)
	var first rawRecord
	for at := int64(systemArea); ; at++ { // descriptors found a primary one
		if _, err := i.r.ReadAt(b, at*sector); err != nil {
			return root, err
		}
		if b[0] == typePrimary {
			break
		}
	}
	first, err := i.parseRecord(b[156:190])
	if err != nil {
		return root, err
	}
	if _, err := i.r.ReadAt(b, first.extents[0].at); err != nil {
		return root, err
	}
	if b[0] < recordSize+1 {
		return root, broken("the root directory is empty")
	}
	self, err := i.parseRecord(b[:b[0]])
	if err != nil {
		return root, err
	}
	// SUSP 5.3: SP is first in the root's first record, or after 15 bytes of CD-ROM XA.
	for _, skip := range []int{0, 15} {
		if u := self.use; len(u) >= skip+7 && string(u[skip:skip+2]) == "SP" && u[skip+4] == 0xbe && u[skip+5] == 0xef {
			i.names, i.skip = rockRidgeNames, int(u[skip+6])
			return first, nil
		}
	}
	return root, nil
}

// extent is a piece of a file: n bytes at offset at of the image.
type extent struct{ at, n int64 }

// rawRecord is a directory record.
type rawRecord struct {
	id      []byte
	extents []extent // one
	dir     bool
	more    bool
	time    time.Time
	use     []byte // system use
}

// parseRecord reads one directory record, of just b's length.
func (i *Image) parseRecord(b []byte) (rawRecord, error) {
	if len(b) < recordSize+1 || int(b[32]) == 0 || recordSize+int(b[32]) > len(b) {
		return rawRecord{}, broken("a directory record of %d bytes", len(b))
	}
	id := b[recordSize : recordSize+int(b[32])]
	r := rawRecord{id: id, dir: b[25]&flagDirectory != 0, more: b[25]&flagMore != 0}
	r.time = time.Date(1900+int(b[18]), time.Month(b[19]), int(b[20]), int(b[21]), int(b[22]), int(b[23]), 0, time.FixedZone("", int(int8(b[24]))*15*60))
	at, n := int64(binary.LittleEndian.Uint32(b[2:])), int64(binary.LittleEndian.Uint32(b[10:]))
	at += int64(b[1]) // sectors of an extended attribute record come first (9.1.2)
	if n == 0 {
		at = 0 // nothing is read there, whatever it says
	}
	if at*sector+n > i.size {
		return r, broken("%q lies outside: %d bytes at sector %d", id, n, at)
	}
	if b[26] != 0 || b[27] != 0 {
		return r, broken("%q is interleaved", id)
	}
	r.extents = []extent{{at * sector, n}}
	r.use = b[recordSize+len(id)+(len(id)+1)%2:][:max(0, len(b)-recordSize-len(id)-(len(id)+1)%2)]
	return r, nil
}

// nameOf is the name of r as it is shown, "" for one that cannot be a name.
func (i *Image) nameOf(r rawRecord, use suspEntries) string {
	name := ""
	switch {
	case i.names == rockRidgeNames && use.name != "":
		name = use.name
	case i.names == jolietNames:
		var units []uint16
		for at := 0; at+1 < len(r.id); at += 2 {
			units = append(units, binary.BigEndian.Uint16(r.id[at:]))
		}
		name = strings.TrimSuffix(string(utf16.Decode(units)), ";1")
	default:
		name = strings.ToLower(strings.TrimSuffix(strings.TrimSuffix(string(r.id), ";1"), "."))
	}
	if name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return ""
	}
	return name
}
