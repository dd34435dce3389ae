package artifact

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
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
	Digest      string // of a file's content, "blake3:HEX"; "" for other types
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
func (t Time) String() string {
	if t.Nsec == 0 {
		return strconv.FormatInt(t.Sec, 10)
	}
	sec, nsec, sign := t.Sec, t.Nsec, ""
	if sec < 0 {
		sign, sec, nsec = "-", -(sec + 1), 1e9-nsec
	}
	return sign + strconv.FormatInt(sec, 10) + "." + strings.TrimRight(fmt.Sprintf("%09d", nsec), "0")
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

// record is an Entry as JSON. Paths and link targets may hold any byte, which
// JSON strings cannot: such a value moves to the field that ends in 64.
type record struct {
	Kind   Kind              `json:"kind"`
	Part   int               `json:"part"`
	Path   string            `json:"path,omitempty"`
	Path64 []byte            `json:"path64,omitempty"`
	Type   Type              `json:"type"`
	Mode   string            `json:"mode"`
	UID    int               `json:"uid"`
	GID    int               `json:"gid"`
	User   string            `json:"user,omitempty"`
	Group  string            `json:"group,omitempty"`
	MTime  string            `json:"mtime"`
	Size   int64             `json:"size,omitempty"`
	Digest string            `json:"digest,omitempty"`
	Link   string            `json:"link,omitempty"`
	Link64 []byte            `json:"link64,omitempty"`
	Xattrs map[string]string `json:"xattrs,omitempty"` // values in base64
	Device string            `json:"device,omitempty"` // "MAJOR:MINOR"
	Sparse bool              `json:"sparse,omitempty"`
	Piece  *pieceRecord      `json:"piece,omitempty"`
}

type pieceRecord struct {
	Number   int    `json:"number"`
	Count    int    `json:"count"`
	Offset   int64  `json:"offset"`
	Total    int64  `json:"total"`
	Stored   string `json:"stored,omitempty"`
	Stored64 []byte `json:"stored64,omitempty"`
}

// MarshalJSON writes e as one record of the catalog.
func (e Entry) MarshalJSON() ([]byte, error) {
	r := record{
		Kind: e.Kind, Part: e.Part, Type: e.Type, Mode: fmt.Sprintf("%04o", e.Mode),
		UID: e.UID, GID: e.GID, User: e.User, Group: e.Group,
		MTime: e.MTime.String(), Size: e.Size, Digest: e.Digest, Sparse: e.Sparse,
	}
	r.Path, r.Path64 = split64(e.Path)
	r.Link, r.Link64 = split64(e.Link)
	if e.Type == TypeChar || e.Type == TypeBlock {
		r.Device = fmt.Sprintf("%d:%d", e.Major, e.Minor)
	}
	if len(e.Xattrs) > 0 {
		r.Xattrs = make(map[string]string, len(e.Xattrs))
		for k, v := range e.Xattrs {
			r.Xattrs[k] = base64.StdEncoding.EncodeToString([]byte(v))
		}
	}
	if p := e.Piece; p.Number > 0 {
		r.Piece = &pieceRecord{Number: p.Number, Count: p.Count, Offset: p.Offset, Total: p.Total}
		r.Piece.Stored, r.Piece.Stored64 = split64(p.Stored)
	}
	return json.Marshal(r)
}

// UnmarshalJSON reads one record of the catalog.
func (e *Entry) UnmarshalJSON(b []byte) error {
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return err
	}
	mode, err := strconv.ParseUint(r.Mode, 8, 32)
	if err != nil {
		return fmt.Errorf("mode %q: %w", r.Mode, err)
	}
	mtime, err := ParseTime(r.MTime)
	if err != nil {
		return err
	}
	*e = Entry{
		Kind: r.Kind, Part: r.Part, Path: join64(r.Path, r.Path64), Type: r.Type, Mode: uint32(mode),
		UID: r.UID, GID: r.GID, User: r.User, Group: r.Group, MTime: mtime,
		Size: r.Size, Digest: r.Digest, Link: join64(r.Link, r.Link64), Sparse: r.Sparse,
	}
	if p := r.Piece; p != nil {
		e.Piece = Piece{Number: p.Number, Count: p.Count, Offset: p.Offset, Total: p.Total, Stored: join64(p.Stored, p.Stored64)}
	}
	if r.Device != "" {
		if _, err := fmt.Sscanf(r.Device, "%d:%d", &e.Major, &e.Minor); err != nil {
			return fmt.Errorf("device %q: %w", r.Device, err)
		}
	}
	if len(r.Xattrs) > 0 {
		e.Xattrs = make(map[string]string, len(r.Xattrs))
		for k, v := range r.Xattrs {
			raw, err := base64.StdEncoding.DecodeString(v)
			if err != nil {
				return fmt.Errorf("xattr %q: %w", k, err)
			}
			e.Xattrs[k] = string(raw)
		}
	}
	return nil
}

func split64(s string) (text string, raw []byte) {
	if utf8.ValidString(s) {
		return s, nil
	}
	return "", []byte(s)
}

func join64(text string, raw []byte) string {
	if raw != nil {
		return string(raw)
	}
	return text
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
