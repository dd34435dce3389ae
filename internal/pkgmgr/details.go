package pkgmgr

import (
	"fmt"
	"strings"
)

// Details is what the header of an rpm says of the package beside its name.
// Text is as it stands there: UTF-8 in most, any bytes in old ones.
type Details struct {
	Summary, Description string
	License, Vendor      string
	Group, URL, Packager string
	BuildHost, SourceRPM string
	// InstalledSize counts the bytes of the files, ArchiveSize those of the
	// payload before compression.
	InstalledSize, ArchiveSize int64

	Provides, Requires, Conflicts, Obsoletes    []Dependency
	Recommends, Suggests, Supplements, Enhances []Dependency

	Files      []File
	Changelogs []Changelog // newest first
}

// Dependency is something a package provides or wants.
type Dependency struct {
	// Name is a package's, a file's path, a capability, or a rich dependency
	// in parentheses, which has no version of its own.
	Name string
	// Flags compares versions: "EQ", "LT", "LE", "GT", "GE", or "" for any.
	Flags string
	// Epoch, Version and Release are "" where any will do; Epoch is "0" where
	// a version is given without one.
	Epoch, Version, Release string
	// Pre says that it must be there before the package's scripts run.
	Pre bool
}

// File is a path a package owns.
type File struct {
	Path       string
	Dir, Ghost bool // a ghost is owned, but not in the payload
}

// Changelog is one entry of a package's changelog. Time is seconds since 1970.
type Changelog struct {
	Time         int64
	Author, Text string
}

// details takes everything but the name from the main header.
func (h headers) details() (Details, error) {
	var d Details
	for tag, to := range map[uint32]*string{
		tagSummary: &d.Summary, tagDescription: &d.Description, tagLicense: &d.License,
		tagVendor: &d.Vendor, tagGroup: &d.Group, tagURL: &d.URL, tagPackager: &d.Packager,
		tagBuildHost: &d.BuildHost, tagSourceRPM: &d.SourceRPM,
	} {
		var err error
		if *to, err = h.main.text(tag); err != nil {
			return Details{}, err
		}
	}
	for tags, to := range map[relationTags]*[]Dependency{
		tagsProvides: &d.Provides, tagsRequires: &d.Requires, tagsConflicts: &d.Conflicts,
		tagsObsoletes: &d.Obsoletes, tagsRecommends: &d.Recommends, tagsSuggests: &d.Suggests,
		tagsSupplements: &d.Supplements, tagsEnhances: &d.Enhances,
	} {
		var err error
		if *to, err = h.relations(tags); err != nil {
			return Details{}, err
		}
	}
	var err error
	if d.InstalledSize, err = firstNumber(h.main, tagLongSize, tagSize); err != nil {
		return Details{}, err
	}
	if d.ArchiveSize, err = h.archiveSize(); err != nil {
		return Details{}, err
	}
	if d.Files, err = h.files(); err != nil {
		return Details{}, err
	}
	d.Changelogs, err = h.changelogs()
	return d, err
}

// archiveSize is in one of three places: in the signature for sizes below and
// above 4 GiB, and in the main header of old packages.
func (h headers) archiveSize() (int64, error) {
	n, err := firstNumber(h.sig, sigLongArchiveSize, sigArchiveSize)
	if err != nil || n > 0 {
		return n, err
	}
	return h.main.number(tagArchiveSize)
}

// firstNumber returns the number of the first of tags that is there.
func firstNumber(s section, tags ...uint32) (int64, error) {
	for _, tag := range tags {
		if s.has(tag) {
			return s.number(tag)
		}
	}
	return 0, nil
}

// relations reads one kind of dependency.
func (h headers) relations(tags relationTags) ([]Dependency, error) {
	names, err := h.main.strings(tags.name)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	flags, err := h.main.numbers(tags.flags)
	if err != nil {
		return nil, err
	}
	versions, err := h.main.strings(tags.version)
	if err != nil {
		return nil, err
	}
	// Packages older than rpm 3.0.3 give names only where versions play no part.
	if flags == nil && versions == nil {
		flags, versions = make([]int64, len(names)), make([]string, len(names))
	}
	if len(flags) != len(names) || len(versions) != len(names) {
		return nil, fmt.Errorf("%w: tag %d has %d names, %d flags, %d versions", errDamaged, tags.name, len(names), len(flags), len(versions))
	}
	all := make([]Dependency, 0, len(names))
	for i, name := range names {
		d := Dependency{Name: name, Flags: compareFlag(flags[i]), Pre: tags == tagsRequires && flags[i]&sensePre != 0}
		d.Epoch, d.Version, d.Release = splitEVR(versions[i])
		all = append(all, d)
	}
	return all, nil
}

func compareFlag(flags int64) string {
	switch flags & senseCompare {
	case senseLess:
		return "LT"
	case senseGreater:
		return "GT"
	case senseEqual:
		return "EQ"
	case senseLess | senseEqual:
		return "LE"
	case senseGreater | senseEqual:
		return "GE"
	}
	return ""
}

// splitEVR cuts [EPOCH:]VERSION[-RELEASE]. What stands before a colon is an
// epoch only if it is a number, as for rpm.
func splitEVR(s string) (epoch, version, release string) {
	if s == "" {
		return "", "", ""
	}
	epoch, version = "0", s
	if before, after, ok := strings.Cut(s, ":"); ok && strings.Trim(before, "0123456789") == "" {
		version = after
		if before != "" {
			epoch = before
		}
	}
	version, release, _ = strings.Cut(version, "-")
	return epoch, version, release
}

// files reads the paths: directories and names apart, or whole in old packages.
func (h headers) files() ([]File, error) {
	paths, err := h.paths()
	if err != nil || len(paths) == 0 {
		return nil, err
	}
	modes, err := h.main.numbers(tagFileModes)
	if err != nil {
		return nil, err
	}
	flags, err := h.main.numbers(tagFileFlags)
	if err != nil {
		return nil, err
	}
	if len(modes) != len(paths) || len(flags) != len(paths) {
		return nil, fmt.Errorf("%w: %d files, %d modes, %d flags", errDamaged, len(paths), len(modes), len(flags))
	}
	all := make([]File, 0, len(paths))
	for i, p := range paths {
		all = append(all, File{Path: p, Dir: modes[i]&modeType == modeDir, Ghost: flags[i]&fileGhost != 0})
	}
	return all, nil
}

func (h headers) paths() ([]string, error) {
	names, err := h.main.strings(tagBaseNames)
	if err != nil {
		return nil, err
	}
	if names == nil {
		return h.main.strings(tagOldFileNames)
	}
	dirs, err := h.main.strings(tagDirNames)
	if err != nil {
		return nil, err
	}
	indexes, err := h.main.numbers(tagDirIndexes)
	if err != nil {
		return nil, err
	}
	if len(indexes) != len(names) {
		return nil, fmt.Errorf("%w: %d files in %d directories", errDamaged, len(names), len(indexes))
	}
	var total int
	for i, dir := range indexes {
		if dir >= int64(len(dirs)) {
			return nil, fmt.Errorf("%w: file %.200q in directory %d of %d", errDamaged, names[i], dir, len(dirs))
		}
		names[i] = dirs[dir] + names[i]
		// One long directory that every file names would grow a small header
		// without bound.
		if total += len(names[i]); total > maxStore {
			return nil, fmt.Errorf("%w: more than %d bytes of file names", errDamaged, maxStore)
		}
	}
	return names, nil
}

func (h headers) changelogs() ([]Changelog, error) {
	times, err := h.main.numbers(tagChangeTime)
	if err != nil {
		return nil, err
	}
	names, err := h.main.strings(tagChangeName)
	if err != nil {
		return nil, err
	}
	texts, err := h.main.strings(tagChangeText)
	if err != nil {
		return nil, err
	}
	if len(names) != len(times) || len(texts) != len(times) {
		return nil, fmt.Errorf("%w: changelog of %d times, %d names, %d texts", errDamaged, len(times), len(names), len(texts))
	}
	all := make([]Changelog, 0, len(times))
	for i, t := range times {
		all = append(all, Changelog{Time: t, Author: names[i], Text: texts[i]})
	}
	return all, nil
}
