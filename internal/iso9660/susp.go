package iso9660

import (
	"encoding/binary"
	"io/fs"
)

// suspEntries is what the system use area of a record says (RRIP 4.1).
type suspEntries struct {
	name string
	mode fs.FileMode // 0 if it says nothing
	link bool        // a symlink, or another thing that is no file
}

// maxContinued is how many continuation areas (SUSP 5.1) one record may have: a name of
// 255 bytes needs two.
const maxContinued = 16

// readUse reads the entries of a record, those of its continuation areas too.
func (i *Image) readUse(use []byte) (s suspEntries, err error) {
	if len(use) < i.skip {
		return s, nil
	}
	use = use[i.skip:]
	for range maxContinued {
		next, err := i.readArea(use, &s)
		if err != nil || next.n == 0 {
			return s, err
		}
		if next.n > sector {
			return s, broken("a continuation area of %d bytes", next.n)
		}
		use = make([]byte, next.n)
		if i.bytes -= next.n; i.bytes < 0 {
			return s, broken("its directories have more than %d bytes", maxDirBytes)
		}
		if next.at+next.n > i.size {
			return s, broken("a continuation area lies outside, at byte %d", next.at)
		}
		if _, err := i.r.ReadAt(use, next.at); err != nil {
			return s, err
		}
	}
	return s, broken("more than %d continuation areas of one record", maxContinued)
}

// readArea reads entries until they end, and returns where they go on.
func (i *Image) readArea(use []byte, s *suspEntries) (next extent, err error) {
	for len(use) >= 4 {
		n := int(use[2])
		if n < 4 || n > len(use) {
			break // what follows the last entry may be anything
		}
		e := use[:n]
		use = use[n:]
		switch string(e[:2]) {
		case "CE":
			if n >= 28 {
				at := int64(binary.LittleEndian.Uint32(e[4:]))*sector + int64(binary.LittleEndian.Uint32(e[12:]))
				next = extent{at, int64(binary.LittleEndian.Uint32(e[20:]))}
			}
		case "NM":
			if n > 5 && e[4]&(2|4) == 0 { // not "." nor ".."
				s.name += string(e[5:])
			}
			if len(s.name) > 255 {
				return next, broken("a name of %d bytes", len(s.name))
			}
		case "PX":
			if n >= 12 {
				bits := binary.LittleEndian.Uint32(e[4:])
				s.mode = fs.FileMode(bits & 0o777)
				kind := bits & 0o170000
				s.link = kind != 0o100000 && kind != 0o040000
			}
		case "ST":
			return next, nil
		}
	}
	return next, nil
}
