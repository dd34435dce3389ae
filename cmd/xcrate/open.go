package main

import (
	"context"
	"errors"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/layout"
)

// source is an opened snapshot.
type source struct {
	*layout.Layout
	*artifact.Snapshot
	ref layout.Reference
}

// openSnapshot opens the snapshot that reference text names.
func openSnapshot(ctx context.Context, text string) (*source, error) {
	ref, err := layout.ParseReference(text)
	if err != nil {
		return nil, usage(err, "a reference is PATH, PATH:TAG or PATH@sha256:DIGEST")
	}
	l, err := layout.Open(ref.Path)
	if err != nil {
		return nil, err
	}
	desc, err := l.Resolve(ctx, ref.Name())
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	s, err := artifact.Load(ctx, l, desc)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &source{Layout: l, Snapshot: s, ref: ref}, nil
}
