package iso9660

import (
	"encoding/binary"
	"io/fs"
	"time"
)

// recordSize is a directory record without its identifier (ECMA-119 9.1).
const recordSize = 33

// record is a directory record that says where n bytes at sector where are.
func record(id []byte, where uint32, n int64, flags byte, at time.Time, use []byte) []byte {
	size := recordSize + len(id)
	size += size % 2 // 9.1.12: a padding byte makes it even
	b := make([]byte, size, size+len(use)+1)
	both32(b[2:], where)
	both32(b[10:], uint32(n))
	putTime(b[18:], at)
	b[25] = flags
	both16(b[28:], 1) // volume sequence number: each volume is a set of its own
	b[32] = byte(len(id))
	copy(b[recordSize:], id)
	b = append(b, use...)
	if len(b)%2 > 0 {
		b = append(b, 0)
	}
	b[0] = byte(len(b))
	return b
}

// putTime writes seven bytes (ECMA-119 9.1.5).
func putTime(b []byte, t time.Time) {
	t = t.UTC()
	b[0], b[1], b[2] = byte(t.Year()-1900), byte(t.Month()), byte(t.Day())
	b[3], b[4], b[5] = byte(t.Hour()), byte(t.Minute()), byte(t.Second())
}

// rockRidge is what RRIP 1.12 says of a file or directory: name, mode and times.
func rockRidge(name string, mode fs.FileMode, dir bool, at time.Time) []byte {
	var b []byte
	if name != "" { // 4.1.4
		b = append(b, 'N', 'M', byte(5+len(name)), 1, 0)
		b = append(b, name...)
	}
	px := make([]byte, 44) // 4.1.1
	copy(px, "PX\x2c\x01")
	bits, links := uint32(mode.Perm())|0o100000, uint32(1)
	if dir {
		bits, links = uint32(mode.Perm())|0o040000, 2
	}
	both32(px[4:], bits)
	both32(px[12:], links)
	b = append(b, px...)
	tf := make([]byte, 5+3*7) // 4.1.6: modified, read, attributes changed
	copy(tf, "TF\x1a\x01\x0e")
	for i := range 3 {
		putTime(tf[5+7*i:], at)
	}
	return append(b, tf...)
}

// susp is what the first record of the root says besides: that SUSP is used (SUSP
// 5.3), and for what (5.5).
func susp() []byte {
	const id = "IEEE_P1282"
	b := []byte{'S', 'P', 7, 1, 0xbe, 0xef, 0}
	b = append(b, 'E', 'R', byte(8+len(id)), 1, byte(len(id)), 0, 0, 1)
	return append(b, id...)
}

const dirPerm fs.FileMode = 0o555

// extent is the records of directory n in tree t. Lengths do not depend on where
// anything lies, so it also tells how long the extent is.
func (n *node) extent(t tree, at time.Time) []byte {
	self, parent := []byte(nil), []byte(nil)
	if t == primary {
		self, parent = rockRidge("", dirPerm, true, at), rockRidge("", dirPerm, true, at)
		if n.parent == n {
			self = append(susp(), self...)
		}
	}
	var b []byte
	add := func(r []byte) {
		if room := sector - len(b)%sector; len(r) > room { // 6.8.1.1: a record does not cross sectors
			b = append(b, make([]byte, room)...)
		}
		b = append(b, r...)
	}
	add(record([]byte{0}, n.where[t], n.size[t], flagDirectory, at, self))
	add(record([]byte{1}, n.parent.where[t], n.parent.size[t], flagDirectory, at, parent))
	for _, c := range n.sorted(t) {
		var use []byte
		if c.file == nil {
			if t == primary {
				use = rockRidge(c.name, dirPerm, true, at)
			}
			add(record(c.id(t), c.where[t], c.size[t], flagDirectory, at, use))
			continue
		}
		if t == primary {
			use = rockRidge(c.name, c.file.Mode, false, at)
		}
		left, where := c.file.Size, c.where[primary]
		for {
			n, flags := min(left, maxExtent), byte(0)
			if left > n {
				flags = flagMore
			}
			add(record(c.id(t), where, n, flags, at, use))
			if left -= n; left == 0 {
				break
			}
			where += uint32(sectors(n))
		}
	}
	return append(b, make([]byte, (sector-len(b)%sector)%sector)...)
}

// pathTable is one of the tables of tree t (ECMA-119 9.4).
func pathTable(dirs []*node, t tree, order binary.ByteOrder) []byte {
	var b []byte
	for _, d := range dirs {
		id := d.id(t)
		if d.parent == d {
			id = []byte{0}
		}
		head := make([]byte, 8)
		head[0] = byte(len(id))
		order.PutUint32(head[2:], d.where[t])
		order.PutUint16(head[6:], uint16(d.parent.number[t]))
		b = append(append(b, head...), id...)
		if len(id)%2 > 0 {
			b = append(b, 0)
		}
	}
	return b
}
