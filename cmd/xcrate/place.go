package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/xcrate/xcrate/internal/registry"
	"github.com/xcrate/xcrate/layout"
)

// place is where snapshots lie: a layout, in a directory or an image, or a
// repository of a registry.
type place struct {
	layout.Reference                     // zero if remote is not nil
	remote           *registry.Reference // nil for a layout
}

// dockerScheme may stand before a repository, as other tools write it; then a host
// without a dot or a port is one too.
const dockerScheme = "docker://"

// howToRefer is the advice after a reference that cannot be read.
const howToRefer = "a reference is PATH, PATH:TAG or PATH@sha256:DIGEST,\n        or HOST/REPOSITORY with :TAG or @sha256:DIGEST"

// parsePlace reads a reference.
func parsePlace(text string) (place, error) {
	name, isRemote := strings.CutPrefix(text, dockerScheme)
	if !isRemote {
		ref, err := layout.ParseReference(text)
		if err == nil {
			return place{Reference: ref}, nil
		}
		if !errors.Is(err, layout.ErrRemote) {
			return place{}, usage(err, howToRefer)
		}
	}
	ref, err := registry.ParseReference(name)
	if err != nil {
		return place{}, usage(err, howToRefer)
	}
	return place{remote: &ref}, nil
}

// String writes p so that parsePlace reads the same from it.
func (p place) String() string {
	if p.remote != nil {
		return p.at() + strings.TrimPrefix(p.remote.String(), p.remote.At())
	}
	return p.Reference.String()
}

// name is the tag or digest, "" if there is none.
func (p place) name() string {
	switch {
	case p.remote == nil:
		return p.Name()
	case p.remote.Digest != "":
		return p.remote.Digest.String()
	}
	return p.remote.Tag
}

// tag is the tag that p names as a destination, "" if it names none. A digest is not
// for a destination to choose.
func (p place) tag() (string, error) {
	name := p.name()
	if strings.Contains(name, ":") {
		return "", usage(fmt.Errorf("destination %s: a digest", p), "it follows from what is copied: leave it out")
	}
	return name, nil
}

// at is where p's snapshots lie, without the name of one.
func (p place) at() string {
	switch {
	case p.remote == nil:
		return p.Path
	case p.remote.Host == "localhost" || strings.ContainsAny(p.remote.Host, ".:"):
		return p.remote.At()
	}
	return dockerScheme + p.remote.At()
}

// absolute is at from any working directory.
func (p place) absolute() (string, error) {
	if p.remote != nil {
		return p.at(), nil
	}
	return filepath.Abs(p.Path)
}
