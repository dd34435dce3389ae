package iso9660

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"
)

// entry is a file or directory of an image.
type entry struct {
	name    string
	dir     bool
	mode    fs.FileMode
	time    time.Time
	extents []extent
	child   []*entry // sorted by name
}

// readAll reads all directories below the root.
func (i *Image) readAll() error {
	seen := map[int64]bool{}
	var walk func(e *entry, depth int) error
	walk = func(e *entry, depth int) error {
		at := e.extents[0].at
		if seen[at] {
			return broken("directory %q: it is in the tree twice", e.name)
		}
		seen[at] = true
		if depth > maxDepth {
			return broken("directories %d deep", depth)
		}
		if err := i.readDir(e); err != nil {
			return fmt.Errorf("directory %q: %w", e.name, err)
		}
		for _, c := range e.child {
			if c.dir && c.extents[0].n > 0 {
				if err := walk(c, depth+1); err != nil {
					return err
				}
			}
		}
		return nil
	}
	return walk(i.root, 0)
}

// readDir reads one directory.
func (i *Image) readDir(e *entry) error {
	n := e.extents[0].n
	if i.bytes -= n; i.bytes < 0 {
		return broken("its directories have more than %d bytes", maxDirBytes)
	}
	b := make([]byte, n)
	if _, err := i.r.ReadAt(b, e.extents[0].at); err != nil {
		return err
	}
	var open *entry // whose next record is to follow
	for at := 0; at < len(b); {
		size := int(b[at])
		if size == 0 { // the rest of a sector
			at += sector - at%sector
			continue
		}
		if at+size > len(b) {
			return broken("a record of %d bytes at its end", size)
		}
		r, err := i.parseRecord(b[at : at+size])
		if err != nil {
			return err
		}
		at += size
		if len(r.id) == 1 && r.id[0] <= 1 {
			continue // itself, and its parent
		}
		if open, err = i.take(e, r, open); err != nil {
			return err
		}
	}
	if open != nil {
		return broken("file %q: its last part is missing", open.name)
	}
	slices.SortFunc(e.child, func(a, b *entry) int { return strings.Compare(a.name, b.name) })
	for k := 1; k < len(e.child); k++ {
		if e.child[k].name == e.child[k-1].name {
			return broken("two of the name %q", e.child[k].name)
		}
	}
	return nil
}

// take adds what r says to directory e, or to the file open. It returns the file that
// goes on in the next record.
func (i *Image) take(e *entry, r rawRecord, open *entry) (*entry, error) {
	if i.entries--; i.entries < 0 {
		return nil, broken("more than %d files", maxEntries)
	}
	var use suspEntries
	if i.names == rockRidgeNames {
		var err error
		if use, err = i.readUse(r.use); err != nil {
			return nil, err
		}
	}
	name := i.nameOf(r, use)
	if name == "" {
		return nil, broken("the name %q", r.id)
	}
	c := open
	if c == nil {
		c = &entry{name: name, dir: r.dir, time: r.time, mode: use.mode}
		e.child = append(e.child, c)
	} else if c.name != name || r.dir {
		return nil, broken("file %q: its next part is missing", c.name)
	}
	switch {
	case use.link:
		c.mode = fs.ModeIrregular
	case r.dir:
		c.mode = fs.ModeDir | dirPerm
	case c.mode == 0:
		c.mode = 0o444
	}
	c.extents = append(c.extents, r.extents...)
	if r.more {
		return c, nil
	}
	return nil, nil
}

func (e *entry) size() int64 {
	var n int64
	for _, x := range e.extents {
		n += x.n
	}
	return n
}

// find returns the entry of name.
func (i *Image) find(op, name string) (*entry, error) {
	e := i.root
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	if name == "." {
		return e, nil
	}
	for part := range strings.SplitSeq(name, "/") {
		at, found := slices.BinarySearchFunc(e.child, part, func(c *entry, name string) int { return strings.Compare(c.name, name) })
		if !found {
			return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
		}
		e = e.child[at]
	}
	return e, nil
}

// Open implements fs.FS.
func (i *Image) Open(name string) (fs.File, error) {
	e, err := i.find("open", name)
	if err != nil {
		return nil, err
	}
	if e.dir {
		return &openDir{entry: e}, nil
	}
	return &openFile{entry: e, SectionReader: io.NewSectionReader(&content{i.r, e.extents}, 0, e.size())}, nil
}

// Stat implements fs.StatFS.
func (i *Image) Stat(name string) (fs.FileInfo, error) {
	e, err := i.find("stat", name)
	if err != nil {
		return nil, err
	}
	return info{e}, nil
}

// ReadDir implements fs.ReadDirFS.
func (i *Image) ReadDir(name string) ([]fs.DirEntry, error) {
	e, err := i.find("readdir", name)
	if err == nil && !e.dir {
		err = &fs.PathError{Op: "readdir", Path: name, Err: errors.New("not a directory")}
	}
	if err != nil {
		return nil, err
	}
	return (&openDir{entry: e}).ReadDir(-1)
}

// content is a file's extents as one.
type content struct {
	r       io.ReaderAt
	extents []extent
}

// ReadAt implements io.ReaderAt.
func (c *content) ReadAt(p []byte, off int64) (n int, err error) {
	for _, x := range c.extents {
		if off >= x.n {
			off -= x.n
			continue
		}
		got, err := c.r.ReadAt(p[n:n+int(min(int64(len(p)-n), x.n-off))], x.at+off)
		if n += got; err != nil && !(errors.Is(err, io.EOF) && got > 0) {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF // it was checked to lie inside
			}
			return n, err
		}
		if off = 0; n == len(p) {
			return n, nil
		}
	}
	return n, io.EOF
}

type openFile struct {
	*entry
	*io.SectionReader
}

func (f *openFile) Stat() (fs.FileInfo, error) { return info{f.entry}, nil }
func (f *openFile) Close() error               { return nil }

type openDir struct {
	*entry
	next int
}

func (d *openDir) Stat() (fs.FileInfo, error) { return info{d.entry}, nil }
func (d *openDir) Close() error               { return nil }

// Read implements fs.File: a directory has no bytes.
func (d *openDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.name, Err: errors.New("is a directory")}
}

// ReadDir implements fs.ReadDirFile.
func (d *openDir) ReadDir(n int) ([]fs.DirEntry, error) {
	rest := d.child[d.next:]
	if n > 0 {
		if len(rest) == 0 {
			return nil, io.EOF
		}
		rest = rest[:min(n, len(rest))]
	}
	d.next += len(rest)
	list := make([]fs.DirEntry, 0, len(rest))
	for _, e := range rest {
		list = append(list, fs.FileInfoToDirEntry(info{e}))
	}
	return list, nil
}

// info is what is known of an entry.
type info struct{ e *entry }

func (i info) Name() string       { return i.e.name }
func (i info) Mode() fs.FileMode  { return i.e.mode }
func (i info) ModTime() time.Time { return i.e.time }
func (i info) IsDir() bool        { return i.e.dir }
func (i info) Sys() any           { return nil }

// Size implements fs.FileInfo: bytes of a file, 0 for a directory.
func (i info) Size() int64 {
	if i.e.dir {
		return 0
	}
	return i.e.size()
}
