package stack

import (
	"path"
	"slices"
	"strings"
)

// images is what the tables say of media trees and image directories.
type images struct {
	installdir string
	media      map[string]medium     // by directory
	roots      map[string][]diskless // by directory
}

// medium names a distro as xCAT does.
type medium struct{ osvers, arch string }

// diskless is an osimage whose rootimgdir is a directory.
type diskless struct {
	image     string
	statelite bool
}

// newImages gathers the directories that osdistro, osimage and linuximage name.
// Disabled rows count: they still say what a directory is.
func newImages(t Tables, installdir string) images {
	im := images{installdir: installdir, media: make(map[string]medium), roots: make(map[string][]diskless)}
	distros := make(map[string]medium)
	for _, row := range t[tableOSDistro] {
		m := mediumOf(row)
		distros[row["osdistroname"]] = m
		for _, dir := range splitList(row["dirpaths"], ",") {
			im.media[path.Clean(dir)] = m
		}
	}
	linux := make(map[string]map[string]string)
	for _, row := range t[tableLinuxImage] {
		linux[row["imagename"]] = row
	}
	for _, row := range t[tableOSImage] {
		name := row["imagename"]
		m := medium{osvers: row["osvers"], arch: row["osarch"]}
		if d, ok := distros[row["osdistroname"]]; ok {
			m = d
		}
		// The first directory of pkgdir is the distro's own.
		if dirs := splitList(linux[name]["pkgdir"], ","); len(dirs) > 0 && path.IsAbs(dirs[0]) {
			if dir := path.Clean(dirs[0]); im.media[dir].osvers == "" {
				im.media[dir] = m
			}
		}
		im.addRoot(name, row, linux[name]["rootimgdir"])
	}
	return im
}

// mediumOf reads a row of osdistro, whose name is "OSVERS-ARCH".
func mediumOf(row map[string]string) medium {
	m := medium{arch: row["arch"]}
	if osvers, ok := strings.CutSuffix(row["osdistroname"], "-"+m.arch); ok && m.arch != "" {
		m.osvers = osvers
		return m
	}
	if m.osvers = row["basename"] + row["majorversion"]; row["minorversion"] != "" {
		m.osvers += "." + row["minorversion"]
	}
	return m
}

// addRoot records where an osimage keeps its diskless image. Without a
// rootimgdir it is below the install directory, by version, arch and profile.
func (im *images) addRoot(name string, row map[string]string, dir string) {
	statelite := row["provmethod"] == "statelite"
	if dir == "" && (statelite || row["provmethod"] == "netboot") && row["osvers"] != "" && row["osarch"] != "" && row["profile"] != "" {
		dir = path.Join(im.installdir, "netboot", row["osvers"], row["osarch"], row["profile"])
	}
	if !path.IsAbs(dir) || !statelite && row["provmethod"] != "netboot" {
		return
	}
	dir = path.Clean(dir)
	im.roots[dir] = append(im.roots[dir], diskless{image: name, statelite: statelite})
}

// describeImage says which image lies in dir and how it is built. Where netboot
// and statelite images share the directory, the packed file tells which was built.
func (im images) describeImage(f *Found, dir string) {
	packed := slices.ContainsFunc(f.Items, func(s string) bool {
		return strings.HasPrefix(s, "rootimg.")
	})
	lite := slices.Contains(f.Items, "rootimg-statelite.gz")
	var names, commands []string
	for _, d := range im.roots[dir] {
		if packed != lite && d.statelite != lite && len(im.roots[dir]) > 1 && im.hasKind(dir, lite) {
			continue
		}
		pack := "packimage"
		if d.statelite {
			pack = "liteimg"
		}
		names = append(names, d.image)
		commands = append(commands, "genimage "+quote(d.image)+" && "+pack+" "+quote(d.image))
	}
	if len(names) == 0 {
		f.Restore = strings.ReplaceAll(f.Restore, "{image}", "IMAGE")
		return
	}
	slices.Sort(names)
	slices.Sort(commands)
	f.What += " " + strings.Join(names, ", ")
	f.Restore = strings.Join(commands, " && ")
}

func (im images) hasKind(dir string, statelite bool) bool {
	return slices.ContainsFunc(im.roots[dir], func(d diskless) bool { return d.statelite == statelite })
}

// describeMedia says which distro lies in dir: as the tables know it, else as
// its files say, else as its place does.
func (im images) describeMedia(f *Found, dir string, family Family, v DirView) {
	m := im.media[dir]
	if m.osvers == "" {
		m.osvers = osvers(family, v)
	}
	if rel, ok := strings.CutPrefix(dir, im.installdir+"/"); ok && strings.Count(rel, "/") == 1 {
		place, arch := path.Split(rel)
		if m.osvers == "" {
			m.osvers = strings.TrimSuffix(place, "/")
		}
		if m.arch == "" {
			m.arch = arch
		}
	}
	if m.osvers != "" {
		f.What += " " + m.osvers
		if m.arch != "" {
			f.What += "-" + m.arch
		}
	}
	command := f.Restore
	if m.osvers == "" { // copycds tells the name from the medium
		command = strings.ReplaceAll(command, " -n {osvers}", "")
	}
	if family == FamilyDebian { // its plugin refuses -p
		command = strings.ReplaceAll(command, " -p {dir}", "")
	}
	f.Restore = strings.NewReplacer("{osvers}", quote(m.osvers), "{dir}", quote(dir)).Replace(command)
}

// splitList returns the items of a list without the space around them.
func splitList(s, separators string) []string {
	var set []string
	for _, item := range strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(separators, r) }) {
		if item = strings.TrimSpace(item); item != "" {
			set = append(set, item)
		}
	}
	return set
}
