package sbom

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
)

// Binary is the bill of materials of a program of ours: the modules that are linked
// into it, and the standard library. The version of the program is by's, because a
// build from a copy of the source has none of its own.
func Binary(info *debug.BuildInfo, by Origin) ([]byte, error) {
	if info == nil || info.Main.Path == "" {
		return nil, errors.New("build information: none in this program")
	}
	about := goPackage(debug.Module{Path: info.Main.Path, Version: by.Version})
	about.Purpose = "APPLICATION"
	about.Comment = platform(info)
	d, program := newDocument("xcrate-"+by.Version, by, about)
	for _, m := range modules(info) {
		d.relate(program, "DEPENDS_ON", d.add(goPackage(m)), "")
	}
	return d.encode()
}

// modules are what the program is linked from. The standard library is none; as
// "stdlib" it has entries in the Go vulnerability database, so it is listed as one.
func modules(info *debug.BuildInfo) []debug.Module {
	var all []debug.Module
	version, _, _ := strings.Cut(info.GoVersion, " ") // "go1.26.8 X:nocoverageredesign"
	if version, ok := strings.CutPrefix(version, "go"); ok {
		all = append(all, debug.Module{Path: "stdlib", Version: version})
	}
	for _, m := range info.Deps {
		if m != nil {
			all = append(all, *m)
		}
	}
	return all
}

// goPackage describes the code that was built: of a module that is replaced, that
// which replaces it.
func goPackage(m debug.Module) spdxPackage {
	var comment string
	if m.Replace != nil {
		comment = oneLine(fmt.Sprintf("in place of %s %s", m.Path, m.Version))
		m = *m.Replace
	}
	p := spdxPackage{Name: m.Path, Version: m.Version, Purpose: "LIBRARY", Comment: comment}
	if m.Sum != "" {
		// Not among the checksums: it is over the list of a module's files and their
		// digests (https://go.dev/ref/mod#go-sum-files), and no file has it.
		p.SourceInfo = "go.sum " + m.Sum
	}
	// A directory in the place of a module has no version, and no URL.
	if m.Version != "" {
		p.ExternalRefs = []externalRef{packageURL("golang", strings.Split(strings.ToLower(m.Path), "/"), m.Version)}
	}
	return p
}

// platform is "linux/amd64", "" where the build does not say it.
func platform(info *debug.BuildInfo) string {
	set := map[string]string{}
	for _, s := range info.Settings {
		set[s.Key] = s.Value
	}
	if set["GOOS"] == "" || set["GOARCH"] == "" {
		return ""
	}
	return set["GOOS"] + "/" + set["GOARCH"]
}
