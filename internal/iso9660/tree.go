package iso9660

import (
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
)

// File is one file of an image that is to be written.
type File struct {
	// Path is slash-separated and relative; its names are printable ASCII, at most 64
	// characters, because Joliet has no more.
	Path string
	Size int64       // in bytes
	Mode fs.FileMode // permission bits
	// Open is called once, when the file's turn comes. The reader must have exactly
	// Size bytes.
	Open func() (io.ReadCloser, error)
}

const maxName = 64

// node is a directory or a file.
type node struct {
	name   string // as it was given
	plain  string // in d-characters, as the primary tree has it
	parent *node  // itself for the root
	file   *File  // nil for a directory
	child  []*node

	where  [2]uint32 // first sector of its extent: a directory has one in each tree
	size   [2]int64  // of a directory's extent, in bytes
	number [2]int    // of a directory in the path tables, from 1
}

// newTree arranges files in directories.
func newTree(files []File) (*node, error) {
	root := &node{}
	root.parent = root
	dirs := map[string]*node{"": root}
	taken := map[string]bool{} // by files
	for i := range files {
		f := &files[i]
		if err := f.check(); err != nil {
			return nil, fmt.Errorf("file %q: %w", f.Path, err)
		}
		if dirs[f.Path] != nil || taken[f.Path] {
			return nil, fmt.Errorf("file %q: the name is taken", f.Path)
		}
		taken[f.Path] = true
		dir, err := dirOf(dirs, taken, f.Path)
		if err != nil {
			return nil, fmt.Errorf("file %q: %w", f.Path, err)
		}
		name := f.Path[strings.LastIndexByte(f.Path, '/')+1:]
		dir.child = append(dir.child, &node{name: name, parent: dir, file: f})
	}
	for _, d := range dirs {
		d.namePlain()
	}
	return root, nil
}

func (f *File) check() error {
	if f.Size < 0 {
		return fmt.Errorf("size %d", f.Size)
	}
	if sectors(f.Size) > 1<<32-1 {
		return fmt.Errorf("%d bytes: more than an image can hold", f.Size)
	}
	if !fs.ValidPath(f.Path) || f.Path == "." {
		return fmt.Errorf("not a relative path")
	}
	for name := range strings.SplitSeq(f.Path, "/") {
		if len(name) > maxName {
			return fmt.Errorf("a name of %d characters, at most %d", len(name), maxName)
		}
		// What Joliet forbids besides control characters (Joliet, "Allowed Character Set").
		if strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r > '~' || strings.ContainsRune(`*/:;?\`, r) }) {
			return fmt.Errorf("a name with other than printable ASCII, or with one of *:;?\\")
		}
	}
	return nil
}

// dirOf returns the directory of path, made if need be.
func dirOf(dirs map[string]*node, taken map[string]bool, path string) (*node, error) {
	at := strings.LastIndexByte(path, '/')
	if at < 0 {
		return dirs[""], nil
	}
	path = path[:at]
	if d := dirs[path]; d != nil {
		return d, nil
	}
	if taken[path] {
		return nil, fmt.Errorf("%s is a file", path)
	}
	parent, err := dirOf(dirs, taken, path)
	if err != nil {
		return nil, err
	}
	d := &node{name: path[strings.LastIndexByte(path, '/')+1:], parent: parent}
	parent.child = append(parent.child, d)
	dirs[path] = d
	return d, nil
}

// maxPlain is how long a name and its extension may be together (ECMA-119 7.5.1, 10.2).
const maxPlain = 30

// namePlain gives each child a name of its own in d-characters. Who sees them has
// neither Rock Ridge nor Joliet.
func (n *node) namePlain() {
	slices.SortFunc(n.child, func(a, b *node) int { return strings.Compare(a.name, b.name) })
	used, tried := map[string]bool{}, map[string]int{} // numbers, by the name before them
	for _, c := range n.child {
		base, ext := c.name, ""
		if c.file != nil {
			if at := strings.LastIndexByte(c.name, '.'); at > 0 {
				base, ext = c.name[:at], c.name[at+1:]
			}
		}
		base, ext = dCharacters(base), dCharacters(ext)
		ext = ext[:min(len(ext), 3)]
		whole := base[:min(len(base), maxPlain-len(ext))] + "." + ext
		for i := tried[whole]; ; i++ {
			tail := ""
			if i > 0 {
				tail = fmt.Sprintf("_%d", i)
			}
			c.plain = base[:min(len(base), maxPlain-len(ext)-len(tail))] + tail
			if c.file != nil {
				c.plain += "." + ext
			}
			if !used[c.plain] {
				tried[whole] = i + 1
				break
			}
		}
		used[c.plain] = true
	}
}

// dCharacters replaces what is not a d-character (ECMA-119 7.4.1).
func dCharacters(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_':
			return r
		}
		return '_'
	}, s)
}

// directories lists all of them as a path table does: level by level, in the order of
// their parents, then of their names in tree t (ECMA-119 6.9.1).
func (n *node) directories(t tree) []*node {
	list := []*node{n}
	for i := 0; i < len(list); i++ {
		list[i].number[t] = i + 1
		for _, c := range list[i].sorted(t) {
			if c.file == nil {
				list = append(list, c)
			}
		}
	}
	return list
}

// files lists all of them, directory by directory.
func (n *node) files() []*node {
	var list []*node
	for _, d := range n.directories(primary) {
		for _, c := range d.child {
			if c.file != nil {
				list = append(list, c)
			}
		}
	}
	return list
}

// tree is one of the two trees of an image.
type tree int

const (
	primary tree = iota // plain names, and those of Rock Ridge
	joliet
)

// id is the file identifier of n in tree t.
func (n *node) id(t tree) []byte {
	if t == joliet {
		b := make([]byte, 0, 2*len(n.name))
		for i := range len(n.name) {
			b = append(b, 0, n.name[i])
		}
		return b
	}
	if n.file != nil {
		return []byte(n.plain + ";1")
	}
	return []byte(n.plain)
}

// sorted are the children in the order of their identifiers (ECMA-119 9.3).
func (n *node) sorted(t tree) []*node {
	list := slices.Clone(n.child)
	slices.SortFunc(list, func(a, b *node) int { return slices.Compare(a.id(t), b.id(t)) })
	return list
}
