package artifact

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// Type says what a filesystem entry is.
type Type string

// The entry types. Sockets have none: they are left out and listed.
const (
	TypeFile     Type = "file"
	TypeDir      Type = "dir"
	TypeSymlink  Type = "symlink"
	TypeHardlink Type = "hardlink" // another name of an entry earlier in the same kind
	TypeFIFO     Type = "fifo"
	TypeChar     Type = "char"
	TypeBlock    Type = "block"
)

// Entry is one filesystem entry of one layer: what the tar header says of it,
// and where it is. It is the record of the catalog and what collectors,
// verification and restore all speak of.
type Entry struct {
	Kind Kind
	Part int // 1-based number of the layer among those of its kind

	// Path is relative to / for tree kinds, to the layer's root otherwise: no
	// leading or trailing slash, no "." or ".." component, any other bytes.
	Path string
	Type Type
	// Mode holds the permission bits with setuid, setgid and sticky: 07777.
	Mode     uint32
	UID, GID int
	// User and Group are the names of UID and GID on the source, "" where it
	// had none.
	User, Group string
	MTime       Time
	Size        int64  // bytes of a file or of the piece of one, holes included; 0 for other types
	Digest      string // of a file's content, "blake3:HEX", of a sealed one as DigestKey makes it; "" for other types
	Link        string // a symlink's target, or the Path a hardlink shares
	// Xattrs are the extended attributes by full name ("user.note"), values as
	// raw bytes.
	Xattrs       map[string]string
	Major, Minor uint32 // of a device node
	// Sparse says that runs of zeros in the file were holes.
	Sparse bool
	// Piece says which bytes of the file these are; zero for all.
	Piece Piece
}

// Time is a point in time as seconds and nanoseconds since 1970, either side
// of it. It is written as a decimal number of seconds, as in a PAX record.
type Time struct {
	Sec  int64
	Nsec int64 // 0 to 999,999,999
}

// String returns t as PAX writes it: "1700000000.5".
func (t Time) String() string { return string(t.append(nil)) }

// append appends t as String writes it.
func (t Time) append(b []byte) []byte {
	sec, nsec := t.Sec, t.Nsec
	if nsec == 0 {
		return strconv.AppendInt(b, sec, 10)
	}
	if sec < 0 {
		b = append(b, '-')
		sec, nsec = -(sec + 1), 1e9-nsec
	}
	b = strconv.AppendInt(b, sec, 10)
	point := len(b)
	b = strconv.AppendInt(b, 1e9+nsec, 10) // ten digits: the first stands where the point goes
	b[point] = '.'
	return bytes.TrimRight(b, "0")
}

// ParseTime reads what Time.String writes.
func ParseTime(s string) (Time, error) {
	whole, frac, _ := strings.Cut(s, ".")
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || len(frac) > 9 || strings.HasPrefix(whole, "+") {
		return Time{}, fmt.Errorf("time %q: not a decimal number of seconds", s)
	}
	if frac == "" {
		return Time{Sec: sec}, nil
	}
	nsec, err := strconv.ParseUint((frac + "000000000")[:9], 10, 32)
	if err != nil {
		return Time{}, fmt.Errorf("time %q: not a decimal number of seconds", s)
	}
	t := Time{Sec: sec, Nsec: int64(nsec)}
	if strings.HasPrefix(whole, "-") && nsec > 0 {
		t = Time{Sec: sec - 1, Nsec: 1e9 - int64(nsec)}
	}
	return t, nil
}

// CheckPath reports whether p is a path an entry may have. Anything that could
// name a place outside the tree is refused here, once, for every reader.
func CheckPath(p string) error {
	switch {
	case p == "":
		return fmt.Errorf("path: empty")
	case len(p) > maxPath:
		return fmt.Errorf("path %.60q...: %d bytes, at most %d", p, len(p), maxPath)
	case strings.HasPrefix(p, "/"):
		return fmt.Errorf("path %q: absolute", p)
	case strings.ContainsRune(p, 0):
		return fmt.Errorf("path %q: holds a NUL byte", p)
	}
	for part := range strings.SplitSeq(p, "/") {
		switch part {
		case "":
			return fmt.Errorf("path %q: empty component", p)
		case ".", "..":
			return fmt.Errorf("path %q: component %q", p, part)
		}
		if len(part) > maxName {
			return fmt.Errorf("path %q: component of %d bytes, at most %d", p, len(part), maxName)
		}
	}
	return nil
}

const (
	maxPath = 64 << 10 // deeper than PATH_MAX: trees may be, one component at a time
	maxName = 255      // NAME_MAX of Linux filesystems
)
