package pkgmgr

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// aptRelease is what the Release file of a suite says (Debian wiki,
// "DebianRepository/Format").
type aptRelease struct {
	architectures []string // nil where it names none
	byHash        bool
	allWithin     bool // packages of all architectures are in the index of each
	validUntil    string
	indexes       map[string]remoteFile // by path relative to the file
	signature     Signature
	assumed       bool // there is no such file
}

// assumedRelease is that of a flat repository that has none: its index may be in
// any form, and have any content.
func assumedRelease() aptRelease {
	r := aptRelease{assumed: true, signature: Signature{State: NotSigned}, indexes: map[string]remoteFile{}}
	for _, packing := range packings() {
		r.indexes["Packages"+packing] = remoteFile{location: "Packages" + packing}
	}
	return r
}

// parseRelease reads a Release file. Digests of SHA256 and SHA512 are taken; MD5
// and SHA1, of which apt takes neither, count as none.
func parseRelease(b []byte) (aptRelease, error) {
	in := newParagraphs(bytes.NewReader(b))
	p, err := in.next()
	if errors.Is(err, io.EOF) {
		return aptRelease{}, errors.New("it is empty")
	}
	if err != nil {
		return aptRelease{}, err
	}
	r := aptRelease{
		architectures: strings.Fields(p.Get("Architectures")), byHash: aptYes(p.Get("Acquire-By-Hash")),
		allWithin: slices.Contains(strings.Fields(p.Get("No-Support-for-Architecture-all")), "Packages"), validUntil: p.Get("Valid-Until"),
		indexes: map[string]remoteFile{},
	}
	for _, algorithm := range []string{"SHA512", "SHA256"} { // the second is what a snapshot records
		for _, line := range p.lines(algorithm) {
			f := strings.Fields(line)
			if len(f) != 3 || !strings.HasPrefix(path.Base(f[2]), "Packages") {
				continue
			}
			size, err := strconv.ParseUint(f[1], 10, 63)
			if err != nil {
				return aptRelease{}, fmt.Errorf("size %.40q of %.100q: it is none", f[1], f[2])
			}
			sum, err := newRemoteDigest(algorithm, f[0])
			if err != nil {
				return aptRelease{}, fmt.Errorf("%.100q: %w", f[2], err)
			}
			loc, err := localPath(f[2])
			if err != nil {
				return aptRelease{}, err
			}
			r.indexes[loc] = remoteFile{loc, int64(size), sum}
		}
	}
	if len(r.indexes) == 0 && len(p.lines("SHA256"))+len(p.lines("SHA512")) == 0 {
		return aptRelease{}, errors.New("no SHA256 or SHA512 digests in it")
	}
	return r, nil
}

// packings are the ends of an index's name, the best first: xz is the smallest of
// those that all repositories have.
func packings() []string { return []string{".xz", ".zst", ".gz", ".bz2", ""} }

// index returns the forms of the index in directory dir, the best first. Those the
// file lists need not all be there: of Debian's the plain one never is.
func (r aptRelease) index(dir string) []remoteFile {
	var all []remoteFile
	for _, packing := range packings() {
		if f, ok := r.indexes[path.Join(dir, "Packages")+packing]; ok {
			all = append(all, f)
		}
	}
	return all
}

// expired reports whether the file was to be replaced by one that is newer.
func (r aptRelease) expired(now time.Time) error {
	if r.validUntil == "" || now.IsZero() {
		return nil
	}
	for _, layout := range []string{time.RFC1123, time.RFC1123Z, "Mon, _2 Jan 2006 15:04:05 MST", "Mon, _2 Jan 2006 15:04:05 -0700"} {
		if until, err := time.Parse(layout, r.validUntil); err == nil {
			if now.After(until) {
				return fmt.Errorf("valid until %s: stale metadata, or a clock that is wrong", r.validUntil)
			}
			return nil
		}
	}
	return fmt.Errorf("valid until %.40q: no time", r.validUntil)
}

// wants returns the architectures whose indexes are read: those of the source,
// else the host's, else all there are; and "all", which some repositories have
// apart.
func (r aptRelease) wants(s aptSuite, arch string) []string {
	arches := s.arches
	switch {
	case arches != nil:
	case arch != "":
		arches = []string{arch}
	default:
		arches = r.architectures
	}
	arches = append(slices.DeleteFunc(slices.Clone(arches), func(a string) bool { return a == "" }), "all")
	slices.SortFunc(arches, cmp.Compare[string])
	return slices.Compact(arches)
}
