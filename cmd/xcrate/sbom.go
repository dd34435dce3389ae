package main

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/sbom"
)

// The lists of what a snapshot is made of, as their manifests are called.
const (
	sbomPackages = "packages"
	sbomProgram  = "program"
)

// packSBOMs pushes lists of what the snapshot desc is made of, its packages, and the modules
// of the program that goes along, if that says which they are; and returns what ties them
// to it.
func packSBOMs(ctx context.Context, to pusher, desc ocispec.Descriptor, c artifact.Config, built *debug.BuildInfo) ([]ocispec.Descriptor, error) {
	by := sbom.Origin{Version: strings.TrimPrefix(c.Tool, "xcrate "), Created: c.Created}
	lists := map[string]func() ([]byte, error){sbomPackages: func() ([]byte, error) { return sbom.Snapshot(c, by) }}
	if built != nil {
		lists[sbomProgram] = func() ([]byte, error) { return sbom.Binary(built, by) }
	}
	var referrers []ocispec.Descriptor
	for title, list := range lists {
		b, err := list()
		if err == nil {
			var one ocispec.Descriptor
			one, err = packReferrer(ctx, to, desc, sbom.MediaType, title, b, c)
			referrers = append(referrers, one)
		}
		if err != nil {
			return nil, fmt.Errorf("list of %s: %w", title, err)
		}
	}
	return referrers, nil
}

// maxSBOM is how large a list may be that is printed, in bytes: a package has 700.
const maxSBOM = 64 << 20

// printSBOM writes the list that is called title.
func (a *app) printSBOM(ctx context.Context, s *source, title string) error {
	if title != sbomPackages && title != sbomProgram {
		return usage(fmt.Errorf("--sbom %q", title), "the lists are packages and program")
	}
	all, err := s.referrers(ctx, sbom.MediaType)
	if err != nil {
		return err
	}
	for _, r := range all {
		if r.Manifest.Annotations[ocispec.AnnotationTitle] != title || len(r.Manifest.Layers) != 1 {
			continue
		}
		if r.Manifest.Layers[0].Size > maxSBOM {
			return fmt.Errorf("list of %s: %d bytes, at most %d", title, r.Manifest.Layers[0].Size, maxSBOM)
		}
		b, err := fetchSmall(ctx, s.Source, r.Manifest.Layers[0])
		if err == nil {
			_, err = fmt.Fprintln(a.out, escape(string(b)))
		}
		return err
	}
	return hint(errors.New("list of "+title+": not with the snapshot"), "exports of before had none, and some tools do not copy what refers to a snapshot")
}
