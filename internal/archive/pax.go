package archive

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// paxRecords returns records as the body of a PAX extended header (POSIX
// pax(1), "pax Extended Header"): "LENGTH KEY=VALUE\n", sorted by key.
func paxRecords(records map[string]string) []byte {
	var b bytes.Buffer
	for _, k := range slices.Sorted(maps.Keys(records)) {
		rest := " " + k + "=" + records[k] + "\n"
		size := len(rest)
		for size != len(rest)+len(strconv.Itoa(size)) { // the length counts its own digits
			size = len(rest) + len(strconv.Itoa(size))
		}
		b.WriteString(strconv.Itoa(size))
		b.WriteString(rest)
	}
	return b.Bytes()
}

// ustar returns one ustar header block (POSIX pax(1), "ustar Interchange
// Format"). What does not fit in it stands in the extended header before it.
func ustar(name string, typ byte, mode, size int64) []byte {
	const maxOctal = 1<<33 - 1 // eleven octal digits
	b := make([]byte, blockSize)
	copy(b[:100], name)
	copy(b[100:], fmt.Sprintf("%07o", mode))
	copy(b[108:], "0000000")
	copy(b[116:], "0000000")
	copy(b[124:], fmt.Sprintf("%011o", min(size, maxOctal)))
	copy(b[136:], "00000000000")
	copy(b[148:], "        ") // the checksum counts as spaces while it is computed
	b[156] = typ
	copy(b[257:], "ustar\x0000")
	copy(b[329:], "0000000")
	copy(b[337:], "0000000")
	sum := 0
	for _, c := range b {
		sum += int(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	return b
}
