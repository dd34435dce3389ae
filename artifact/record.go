package artifact

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// record is an Entry as JSON. Paths and link targets may hold any byte, which
// JSON strings cannot: such a value moves to the field that ends in 64.
//
// It says what a catalog line may be. A catalog has a line for every entry, and
// encoding/json takes several microseconds for each; so appendRecord writes and
// scanRecord reads the common form by hand, and whatever is not common goes
// through here.
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
func (e Entry) MarshalJSON() ([]byte, error) { return appendRecord(nil, &e) }

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
