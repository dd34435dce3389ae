package main

import (
	"errors"
	"fmt"

	"github.com/xcrate/xcrate/layout"
)

// howToRefer is the advice after a reference that cannot be read.
const howToRefer = "a reference is PATH, PATH:TAG or PATH@sha256:DIGEST"

// parsePlace reads a reference to a layout, in a directory or an image.
func parsePlace(text string) (layout.Reference, error) {
	ref, err := layout.ParseReference(text)
	switch {
	case errors.Is(err, layout.ErrRemote):
		return ref, usage(fmt.Errorf("registries are not supported yet: %w", err), howToRefer)
	case err != nil:
		return ref, usage(err, howToRefer)
	}
	return ref, nil
}

// destinationTag is the tag that ref names as a destination, "" if it names none. A
// digest is not for a destination to choose.
func destinationTag(ref layout.Reference) (string, error) {
	if ref.Digest != "" {
		return "", usage(fmt.Errorf("destination %s: a digest", ref), "it follows from what is written: leave it out")
	}
	return ref.Tag, nil
}
