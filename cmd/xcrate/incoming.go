package main

import (
	"context"
	"errors"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/internal/progress"
	"github.com/xcrate/xcrate/layout"
)

// An import reads some parts several times, and goes on after a power cut. What is on
// discs that have to be changed, or in a registry, is therefore copied here first.

// incomingDir is where imports keep what they copied.
func (a *app) incomingDir() string { return filepath.Join(a.cache, "incoming") }

// here returns s where an import can read it at will: s itself, or a copy in
// directory dir of this machine. s is closed if it is not returned.
func (a *app) here(ctx context.Context, s *source, dir string) (*source, error) {
	if s.remote == nil && len(s.layout.Missing()) == 0 {
		return s, nil
	}
	if err := a.canGather(s); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	c, err := a.openIncoming(s, dir)
	if err != nil {
		return nil, errors.Join(hintIncoming(err, dir), s.Close())
	}
	tags, err := s.tags(ctx)
	if err == nil {
		err = c.bring(ctx, s)
	}
	c.progress.Done()
	if err == nil {
		err = c.to.Only(ctx, s.Descriptor, tags...)
	}
	// What was copied stays: the next import goes on from there.
	if err = errors.Join(err, c.to.Close(), s.Close()); err != nil {
		return nil, hintIncoming(err, dir)
	}
	return a.openSnapshot(ctx, layout.Reference{Path: dir, Digest: s.Descriptor.Digest}.String(), sourceOptions{})
}

// hintIncoming adds where there would be more room.
func hintIncoming(err error, dir string) error {
	if errors.Is(err, unix.ENOSPC) {
		return hint(err, "free space in %s,\n        or copy it to another place: --cache-dir DIR", dir)
	}
	return err
}

// openIncoming makes the copy's layout, if there is room for what is to come.
func (a *app) openIncoming(s *source, dir string) (*incoming, error) {
	w, err := layout.Create(dir, layout.Options{Parents: true})
	if err != nil {
		return nil, err
	}
	c := &incoming{app: a, to: w, progress: a.progress()}
	err = new(stickOptions).roomFor(w, dir, s.blobs())
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return c, nil
}

// incoming is a snapshot that is being copied to this machine.
type incoming struct {
	app      *app
	to       *layout.Writer
	progress progress.Sink
}
