// Package iso9660 writes and reads images of ISO 9660 (ECMA-119, interchange level 3),
// with the names and modes of Rock Ridge (RRIP 1.12 on SUSP 1.12) and the names of
// Joliet, so that Linux, Windows and macOS show the same files.
//
// Write makes an image in one pass over the files, in memory that does not grow with
// their sizes, and always the same bytes for the same files. The libraries there are
// gather the files in a directory first, write back into what they wrote, or know only
// one of the two kinds of names.
//
// Open reads images of any program: names of Rock Ridge if there are any, else those of
// Joliet, else the plain ones. An image is foreign input; what it says is checked
// against its size before it is used.
package iso9660

import (
	"encoding/binary"
	"errors"
)

// sector is the size of a logical sector and block in bytes (ECMA-119 6.1.2, 6.2.2).
const sector = 2048

// systemArea is what an image begins with and says nothing about (ECMA-119 6.2.1), in
// sectors.
const systemArea = 16

// padding ends an image, in sectors: drives read ahead, and at the end of a disc that
// was written track at once the last of them would be an error.
const padding = 150

// maxExtent is how many bytes of a file one record can say, in whole sectors: its
// length has 32 bits (ECMA-119 9.1.4). A longer file has several records.
const maxExtent = (1<<32 - 1) / sector * sector

// Flags of a directory record (ECMA-119 9.1.6).
const (
	flagDirectory = 1 << 1
	flagMore      = 1 << 7 // another record of the same file follows
)

// Types of volume descriptors (ECMA-119 8.1.1).
const (
	typePrimary       = 1
	typeSupplementary = 2
	typeEnd           = 255
)

const standardID = "CD001"

// ErrImage says that something is no ISO 9660 image, or a broken one.
var ErrImage = errors.New("not a sound ISO 9660 image")

func sectors(n int64) int64 { return (n + sector - 1) / sector }

// both16 and both32 write n in both byte orders (ECMA-119 7.2.3, 7.3.3).
func both16(b []byte, n uint16) {
	binary.LittleEndian.PutUint16(b, n)
	binary.BigEndian.PutUint16(b[2:], n)
}

func both32(b []byte, n uint32) {
	binary.LittleEndian.PutUint32(b, n)
	binary.BigEndian.PutUint32(b[4:], n)
}
