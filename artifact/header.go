package artifact

import (
	"archive/tar"
	"fmt"
	"strings"
	"time"
)

// The PAX keys below are those GNU tar and bsdtar read and write; see pax(5)
// "Pax Interchange Format" and GNU tar's manual, "Sparse Formats".
const (
	paxXattr  = "SCHILY.xattr."
	paxSparse = "GNU.sparse.major"
)

// tarTypes pairs ours and tar's, the most frequent first.
var tarTypes = []struct {
	typ  Type
	flag byte
}{
	{TypeFile, tar.TypeReg},
	{TypeDir, tar.TypeDir},
	{TypeSymlink, tar.TypeSymlink},
	{TypeHardlink, tar.TypeLink},
	{TypeFIFO, tar.TypeFifo},
	{TypeChar, tar.TypeChar},
	{TypeBlock, tar.TypeBlock},
}

// Header returns e as a tar header. Together with EntryFromHeader it is the one
// place where the two meet. Same entry, same header: nothing of the clock or
// the process goes in. A piece has the name it is stored under, and nothing in
// its header says that it is one: the catalog does.
func (e Entry) Header() (*tar.Header, error) {
	var flag byte
	for _, t := range tarTypes {
		if t.typ == e.Type {
			flag = t.flag
			break
		}
	}
	if flag == 0 {
		return nil, fmt.Errorf("entry %q: type %q", e.Path, e.Type)
	}
	h := &tar.Header{
		Typeflag: flag, Name: e.StoredPath(), Linkname: e.Link, Size: e.Size, Mode: int64(e.Mode),
		Uid: e.UID, Gid: e.GID, Uname: e.User, Gname: e.Group,
		ModTime:  time.Unix(e.MTime.Sec, e.MTime.Nsec),
		Devmajor: int64(e.Major), Devminor: int64(e.Minor),
		Format: tar.FormatPAX,
	}
	if e.Type == TypeDir {
		h.Name += "/"
	}
	if len(e.Xattrs) > 0 {
		h.PAXRecords = make(map[string]string, len(e.Xattrs))
		for k, v := range e.Xattrs {
			if strings.ContainsAny(k, "=\x00") {
				return nil, fmt.Errorf("entry %q: xattr name %q: cannot stand in a tar header", e.Path, k)
			}
			h.PAXRecords[paxXattr+k] = v
		}
	}
	return h, nil
}

// EntryFromHeader returns the entry tar header h describes, without kind, part
// and digest. A header that is not one of ours, or names a place outside the
// tree, is an error.
func EntryFromHeader(h *tar.Header) (Entry, error) {
	e := Entry{
		Path: strings.TrimSuffix(h.Name, "/"), Link: h.Linkname, Mode: uint32(h.Mode),
		UID: h.Uid, GID: h.Gid, User: h.Uname, Group: h.Gname,
		MTime: Time{Sec: h.ModTime.Unix(), Nsec: int64(h.ModTime.Nanosecond())},
		Size:  h.Size, Major: uint32(h.Devmajor), Minor: uint32(h.Devminor),
		Sparse: h.PAXRecords[paxSparse] != "",
	}
	for _, t := range tarTypes {
		if t.flag == h.Typeflag {
			e.Type = t.typ
			break
		}
	}
	for k, v := range h.PAXRecords {
		if attr, ok := strings.CutPrefix(k, paxXattr); ok {
			if e.Xattrs == nil {
				e.Xattrs = map[string]string{}
			}
			e.Xattrs[attr] = v
		}
	}
	if e.Type == "" {
		return Entry{}, fmt.Errorf("tar entry %q: type %q is not one a snapshot holds", h.Name, h.Typeflag)
	}
	if err := e.Validate(); err != nil {
		return Entry{}, err
	}
	return e, nil
}

// Validate checks what every reader of an entry relies on.
func (e Entry) Validate() error {
	if err := CheckPath(e.Path); err != nil {
		return err
	}
	switch {
	case e.Mode&^0o7777 != 0:
		return fmt.Errorf("entry %q: mode %o", e.Path, e.Mode)
	case e.Size < 0 || (e.Size > 0 && e.Type != TypeFile):
		return fmt.Errorf("entry %q: %s of %d bytes", e.Path, e.Type, e.Size)
	case e.UID < 0 || e.GID < 0:
		return fmt.Errorf("entry %q: owner %d:%d", e.Path, e.UID, e.GID)
	case e.Type == TypeSymlink && (e.Link == "" || strings.ContainsRune(e.Link, 0)):
		return fmt.Errorf("entry %q: symlink to %q", e.Path, e.Link)
	case e.Type == TypeHardlink:
		if err := CheckPath(e.Link); err != nil {
			return fmt.Errorf("entry %q: hard link: %w", e.Path, err)
		}
	}
	return e.Piece.validate(e)
}
