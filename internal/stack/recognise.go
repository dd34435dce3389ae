package stack

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"
)

// Mark tells a tree that is left out by what lies in it, whatever its name.
type Mark struct {
	Family Family
	What   string // "distro media"
	Reason string
	// Restore is how the tree comes back: {osvers}, {dir}, {image} and {arch}
	// stand for what is found there.
	Restore string
	// Has are paths relative to the directory that must all exist, "A|B" for
	// either; the first component of each may be a glob.
	Has []string
	// Any are patterns of names: if there are any, one name must match.
	Any []string
	// Items are patterns of the names that are left out; none means the whole
	// directory.
	Items []string
	Ref   string // as in Rule
}

// Family says how the details of a marked tree are told.
type Family string

// The families of trees that are recognised.
const (
	FamilyAnaconda Family = "anaconda" // .discinfo and .treeinfo
	FamilySUSE     Family = "suse"     // media.1
	FamilyDebian   Family = "debian"   // .disk/info
	FamilyESXi     Family = "esxi"     // upgrade/metadata.xml
	FamilyOther    Family = "other"    // only its place tells
	FamilyImage    Family = "image"    // diskless or statelite
	FamilyGenesis  Family = "genesis"  // discovery image of mknb
)

// DirView is what Recognise sees of one directory. Names below it may have
// several components ("media.1/media"). A symlink may count as a file.
type DirView interface {
	// Names returns the names in the directory itself.
	Names() []string
	// ReadFile returns the content of a file of at most limit bytes. What does
	// not exist gives an error that wraps fs.ErrNotExist; a larger file gives its
	// beginning or any other error.
	ReadFile(name string, limit int64) ([]byte, error)
	// IsDir reports whether name is a directory.
	IsDir(name string) bool
}

// Found is a tree that Recognise told.
type Found struct {
	What, Reason, Restore string
	// Items are the names in the directory that are left out, sorted; none
	// means the whole directory.
	Items []string
}

// Recognise reports whether directory dir, seen through v, is distro media, a
// diskless image or a discovery image, and what to leave out of it.
func (b *Bound) Recognise(dir string, v DirView) (Found, bool) {
	names := v.Names()
	dir = path.Clean(dir)
	for _, m := range b.stack.Marks {
		if !m.fits(names, v) && !(m.Family == FamilyImage && b.images.roots[dir] != nil) {
			continue
		}
		var items []string
		for _, name := range names {
			if matchAny(m.Items, name) {
				items = append(items, name)
			}
		}
		if len(items) == 0 && len(m.Items) > 0 {
			continue
		}
		slices.Sort(items)
		found := Found{What: m.What, Reason: m.Reason, Restore: m.Restore, Items: items}
		switch m.Family {
		case FamilyImage:
			b.images.describeImage(&found, dir)
		case FamilyGenesis:
			describeGenesis(&found)
		default:
			b.images.describeMedia(&found, dir, m.Family, v)
		}
		return found, true
	}
	return Found{}, false
}

// fits reports whether the directory bears the mark.
func (m Mark) fits(names []string, v DirView) bool {
	for _, alternatives := range m.Has {
		if !slices.ContainsFunc(strings.Split(alternatives, "|"), func(p string) bool {
			return has(p, names, v)
		}) {
			return false
		}
	}
	return len(m.Any) == 0 || slices.ContainsFunc(names, func(name string) bool {
		return matchAny(m.Any, name)
	})
}

// has reports whether a name of the directory matches the first component of
// pattern and what follows exists below it.
func has(pattern string, names []string, v DirView) bool {
	return firstOf(pattern, names, v) != ""
}

// firstOf returns the first path below the directory that pattern stands for,
// "" for none.
func firstOf(pattern string, names []string, v DirView) string {
	first, rest, deep := strings.Cut(pattern, "/")
	for _, name := range names {
		if !matchAny([]string{first}, name) {
			continue
		}
		if !deep {
			return name
		}
		if p := name + "/" + rest; v.IsDir(name) && exists(p, v) {
			return p
		}
	}
	return ""
}

// exists reports whether name is there. Reading none of it is enough: any
// error but its absence, such as that it is larger, says that it is.
func exists(name string, v DirView) bool {
	if v.IsDir(name) {
		return true
	}
	_, err := v.ReadFile(name, 0)
	return err == nil || !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR)
}

// describeGenesis fills in the architectures whose files were found.
func describeGenesis(f *Found) {
	var archs, commands []string
	for _, name := range f.Items {
		for _, prefix := range []string{"genesis.kernel.", "genesis.fs.", "nbk.", "nbfs."} {
			if arch, ok := strings.CutPrefix(name, prefix); ok {
				arch, _, _ = strings.Cut(arch, ".")
				archs = append(archs, arch)
			}
		}
	}
	slices.Sort(archs)
	archs = slices.Compact(archs)
	for _, arch := range archs {
		commands = append(commands, strings.ReplaceAll(f.Restore, "{arch}", quote(arch)))
	}
	f.What += " " + strings.Join(archs, ", ")
	f.Restore = strings.Join(commands, " && ")
}

// quote returns s as one word of a shell command.
func quote(s string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+:@%,="
	if s != "" && strings.Trim(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
