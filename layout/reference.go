package layout

import (
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/opencontainers/go-digest"
)

// Reference names a layout, or one snapshot in it.
type Reference struct {
	// Path is the layout's directory or image as it was given, never empty.
	Path string
	// Tag is the snapshot's tag, "" if none was given.
	Tag string
	// Digest is the digest of the snapshot's manifest, "" if none was given.
	// At most one of Tag and Digest is set.
	Digest digest.Digest
}

// scheme stands before a reference that is a path whatever it looks like.
const scheme = "oci:"

// String writes r so that ParseReference reads the same from it.
func (r Reference) String() string {
	switch {
	case r.Digest != "":
		return scheme + r.Path + "@" + r.Digest.String()
	case r.Tag != "":
		return scheme + r.Path + ":" + r.Tag
	}
	return scheme + r.Path
}

// Name is the tag or digest, as Layout.Resolve takes it; "" if there is none.
func (r Reference) Name() string {
	if r.Digest != "" {
		return r.Digest.String()
	}
	return r.Tag
}

// ParseReference reads PATH, PATH:TAG or PATH@sha256:HEX, each with or without
// "oci:" before it. A path that exists as it is given is taken whole; otherwise
// the tag follows the last ':' after the last '/'. It looks at the filesystem
// for that only: the layout need not exist. What reads like a repository of a
// registry is an error that wraps ErrRemote.
func ParseReference(s string) (Reference, error) {
	r, err := parseReference(s, look)
	if err != nil {
		return Reference{}, fmt.Errorf("reference %q: %w", s, err)
	}
	return r, nil
}

// place is what lies at a path.
type place int

const (
	placeNone place = iota
	placeFile
	placeDir
)

func look(path string) place {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return placeNone
	case info.IsDir():
		return placeDir
	}
	return placeFile
}

func parseReference(s string, look func(path string) place) (Reference, error) {
	rest, explicit := strings.CutPrefix(s, scheme)
	if urlPattern.MatchString(s) {
		return Reference{}, fmt.Errorf("URLs are not understood; a layout is a plain path, PATH[:TAG]")
	}
	if strings.ContainsRune(rest, 0) {
		return Reference{}, fmt.Errorf("path holds a NUL byte")
	}
	if strings.HasPrefix(rest, "//") {
		// The same place, and no URL behind "oci:".
		rest = "/" + strings.TrimLeft(rest, "/")
	}
	r := Reference{Path: rest}
	if look(rest) == placeNone {
		var err error
		if r, err = split(rest, look); err != nil {
			return Reference{}, err
		}
	}
	if r.Path == "" {
		return Reference{}, fmt.Errorf("empty path")
	}
	if !explicit && look(r.Path) == placeNone && looksRemote(rest) {
		return Reference{}, fmt.Errorf("%w; for a directory of that name write %s or ./%s", ErrRemote, scheme+rest, rest)
	}
	return r, nil
}

var (
	urlPattern    = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://`)
	digestPattern = regexp.MustCompile(`^[a-z0-9]+([+._-][a-z0-9]+)*:`)
	tagPattern    = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)
)

// split takes the tag or digest off a path that does not exist as it is.
func split(s string, look func(path string) place) (Reference, error) {
	if i := strings.LastIndexByte(s, '@'); i >= 0 && digestPattern.MatchString(s[i+1:]) {
		d := digest.Digest(s[i+1:])
		if err := checkDigest(d); err != nil {
			return Reference{}, err
		}
		path := s[:i]
		if look(path) == placeNone {
			if r, err := split(path, look); err != nil || r.Name() != "" {
				return Reference{}, fmt.Errorf("give a tag or a digest, not both")
			}
		}
		return Reference{Path: path, Digest: d}, nil
	}
	i := strings.LastIndexByte(s, ':')
	if i < 0 || i < strings.LastIndexByte(s, '/') {
		return Reference{Path: s}, nil
	}
	if err := CheckTag(s[i+1:]); err != nil {
		return Reference{}, err
	}
	return Reference{Path: s[:i], Tag: s[i+1:]}, nil
}

// looksRemote reports whether a relative path that does not exist reads like
// HOST[:PORT]/REPOSITORY: a first component that has a dot or a port, or is
// localhost, and another after it. That is how clients of registries tell it.
func looksRemote(s string) bool {
	first, rest, found := strings.Cut(s, "/")
	if !found || rest == "" || first == "" || first == "." || first == ".." {
		return false
	}
	return first == "localhost" || strings.ContainsAny(first, ".:")
}

// CheckTag reports whether tag is one a snapshot may have: what
// distribution-spec allows ("Pulling manifests", <reference> as a tag), so that
// every tag of a layout can be pushed to a registry.
func CheckTag(tag string) error {
	if !tagPattern.MatchString(tag) {
		return fmt.Errorf("tag %q: not 1 to 128 letters, digits, '_', '.' or '-', the first no '.' or '-'", tag)
	}
	return nil
}

// checkDigest allows what snapshots are made of: sha256, in lower case hex.
func checkDigest(d digest.Digest) error {
	if err := d.Validate(); err != nil {
		return fmt.Errorf("digest %q: %w", d, err)
	}
	if d.Algorithm() != digest.SHA256 {
		return fmt.Errorf("digest %q: only sha256 is used", d)
	}
	return nil
}
