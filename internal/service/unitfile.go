package service

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/internal/host"
)

// Directories of unit files (systemd.unit(5), "Unit File Load Path"). What lies in
// /run is of one boot and none of ours.
const (
	configDir = "/etc/systemd/system"
	localDir  = "/usr/local/lib/systemd/system"
	vendorDir = "/usr/lib/systemd/system"
	splitDir  = "/lib/systemd/system" // of distros that had, or have, two
)

// masking is what a link of a unit's name leads to when the unit must not start.
const masking = "/dev/null"

const (
	maxUnitFile = 1 << 20
	maxAliases  = 10 // that lead to one another
)

// units reads the unit files of a root.
type units struct {
	root *host.Root
	dirs []string // first wins
}

// openUnits finds out where root has its units, and how links there spell it.
// Distros whose /lib is a link differ in which of the two names systemd was built
// with, and the links that are there tell.
func openUnits(root *host.Root) (units, error) {
	u := units{root: root, dirs: []string{configDir, localDir, vendorDir}}
	one, err := root.Resolve(splitDir)
	if err != nil {
		return u, fmt.Errorf("units: %w", err)
	}
	if one != vendorDir {
		u.dirs = append(u.dirs, splitDir)
		return u, nil
	}
	links, err := u.links()
	if err != nil {
		return u, err
	}
	for _, l := range links {
		switch path.Dir(l.Target) {
		case splitDir:
			u.dirs[2] = splitDir
			return u, nil
		case vendorDir:
			return u, nil
		}
	}
	return u, nil
}

// unitFile is a unit and where it is defined.
type unitFile struct {
	name string // without aliases; an instance keeps its own
	path string // of its file, which for an instance is that of the template
	// source is what links to the unit lead to: path, or what that links to.
	source string
	// masked says that path is a mask and no definition.
	masked bool
	// linked says that the file lies elsewhere, and path is a link to it.
	linked bool
}

// find returns the unit that name stands for; found is false if there is none.
func (u units) find(name string) (f unitFile, found bool, err error) {
	for range maxAliases {
		f, found, err = u.look(name, name)
		if err == nil && !found {
			if template := templateOf(name); template != "" {
				f, found, err = u.look(name, template)
			}
		}
		if err != nil || !found || f.name == name {
			return f, found, err
		}
		name = f.name
	}
	return f, false, fmt.Errorf("unit %s: %w", name, unix.ELOOP)
}

// look looks for file in the directories; name is that of the unit it is for. Of an
// alias, the name of the unit it leads to is returned and nothing else.
func (u units) look(name, file string) (unitFile, bool, error) {
	for _, dir := range u.dirs {
		p := dir + "/" + file
		f := unitFile{name: name, path: p, source: p}
		st, err := u.root.Lstat(f.path)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
			continue
		}
		if err != nil {
			return f, false, fmt.Errorf("unit %s: %w", name, err)
		}
		if st.IsRegular() {
			f.masked = st.Size == 0
			return f, true, nil
		}
		if !st.IsSymlink() {
			continue
		}
		target, err := u.root.Readlink(f.path)
		if err != nil {
			return f, false, fmt.Errorf("unit %s: %w", name, err)
		}
		base := path.Base(target)
		switch {
		case target == masking:
			f.masked = true
		case base == file:
			f.linked = true
			if f.source = target; !path.IsAbs(target) {
				f.source = path.Join(dir, target)
			}
		case isUnit(base):
			f.name = base
			if instance := instanceOf(name); instance != "" && instanceOf(base) == "" && templateOf(base) == base {
				f.name = withInstance(base, instance)
			}
		default:
			continue
		}
		return f, true, nil
	}
	return unitFile{}, false, nil
}

// install is the section Install of a unit, and what stands in its name.
type install struct {
	alias, also     []string
	by              map[string][]string // suffix of the directory -> units
	defaultInstance string
}

// dependencies are the directories of links that make one unit want another.
func dependencies() map[string]string {
	return map[string]string{"WantedBy": ".wants", "RequiredBy": ".requires", "UpheldBy": ".upholds"}
}

// any reports whether enabling the unit makes a link.
func (i install) any() bool {
	return len(i.alias) > 0 || slices.ContainsFunc(slices.Collect(maps.Values(i.by)), func(l []string) bool { return len(l) > 0 })
}

// install reads the section Install of f and of its drop-ins.
func (u units) install(f unitFile) (install, error) {
	in := install{by: map[string][]string{}}
	files := []string{f.path}
	dropIns, err := u.dropIns(f)
	if err != nil {
		return in, err
	}
	for _, p := range append(files, dropIns...) {
		b, err := u.root.ReadFile(p, maxUnitFile)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a link to nothing
		}
		if err != nil {
			return in, fmt.Errorf("unit %s: %w", f.name, err)
		}
		in.read(string(b))
	}
	return in, nil
}

// dropIns are the files that add to f, in the order they are read.
func (u units) dropIns(f unitFile) ([]string, error) {
	byName := map[string]string{}
	owners := []string{f.name}
	if template := templateOf(f.name); template != "" && template != f.name {
		owners = append(owners, template)
	}
	for _, owner := range owners {
		for _, dir := range u.dirs {
			p := dir + "/" + owner + ".d"
			names, err := u.root.Names(p)
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("unit %s: %w", f.name, err)
			}
			for _, name := range names {
				if _, over := byName[name]; !over && strings.HasSuffix(name, ".conf") {
					byName[name] = p + "/" + name
				}
			}
		}
	}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		if st, err := u.root.Stat(byName[name]); err == nil && st.IsRegular() { // the rest is masked
			all = append(all, byName[name])
		}
	}
	return all, nil
}

// read adds what text, a unit file, says (systemd.syntax(7)).
func (i *install) read(text string) {
	section := ""
	for _, line := range logicalLines(text) {
		if strings.HasPrefix(line, "[") {
			section = line
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if section != "[Install]" || !ok {
			continue
		}
		key = strings.TrimSpace(key)
		var words []string
		for _, w := range strings.Fields(value) {
			words = append(words, strings.Trim(w, `"'`))
		}
		list := func(old []string) []string {
			if len(words) == 0 {
				return nil // an empty value takes back the ones before
			}
			return append(old, words...)
		}
		switch suffix := dependencies()[key]; {
		case suffix != "":
			i.by[suffix] = list(i.by[suffix])
		case key == "Alias":
			i.alias = list(i.alias)
		case key == "Also":
			i.also = append(i.also, words...)
		case key == "DefaultInstance":
			i.defaultInstance = strings.Join(words, "")
		}
	}
}

// logicalLines are the lines of a unit file without comments and blank ones, those
// that are continued joined.
func logicalLines(text string) []string {
	var all []string
	begun := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") || line == "" && begun == "" {
			continue
		}
		if more, ok := strings.CutSuffix(line, `\`); ok {
			begun += more + " "
			continue
		}
		all = append(all, strings.TrimSpace(begun+line))
		begun = ""
	}
	if begun != "" {
		all = append(all, strings.TrimSpace(begun))
	}
	return all
}
