package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/xcrate/xcrate/layout"
)

// receive copies blobs of s.
func (c *incoming) receive(ctx context.Context, s *source, blobs []ocispec.Descriptor, parallel int) error {
	var total int64
	for _, d := range blobs {
		total += d.Size
	}
	c.progress.Phase("copying", total)
	return c.to.ReceiveAll(ctx, s, blobs, parallel, c.progress)
}

// bring copies s here.
func (c *incoming) bring(ctx context.Context, s *source) error {
	if s.remote != nil {
		return c.receive(ctx, s, s.blobs(), s.parallel)
	}
	return c.gather(ctx, s)
}

// gather copies from the volumes that are here, then asks for the next, until all
// blobs are there. The volume before is closed first, or the drive would not give it
// out.
func (c *incoming) gather(ctx context.Context, s *source) error {
	had := map[digest.Digest]bool{}
	table, where := s.layout.Volumes(), s.place.Path
	for _, v := range table.Volumes { // what refers to it lies there too, and is not wanted
		for _, b := range v.Blobs {
			had[b.Digest] = true
		}
	}
	for _, d := range s.blobs() {
		delete(had, d.Digest)
	}
	for {
		missing := s.layout.Missing()
		var now []ocispec.Descriptor
		for _, d := range s.blobs() {
			if !had[d.Digest] && table.On(d.Digest, missing) {
				now = append(now, d)
				had[d.Digest] = true
			}
		}
		if err := c.receive(ctx, s, now, 1); err != nil { // a disc has one head
			return err
		}
		missing = slices.DeleteFunc(missing, func(m layout.MissingVolume) bool { return table.Have(m.Number, had) })
		if len(missing) == 0 {
			return nil
		}
		c.progress.Done()
		if err := s.layout.Close(); err != nil {
			return err
		}
		next, at, err := c.app.nextVolume(ctx, s, missing[0], where)
		if err != nil {
			s.layout = nil // it is closed
			return err
		}
		s.layout, s.Source, where = next, next, at
	}
}

// canGather reports whether the volumes that are not here can be asked for.
func (a *app) canGather(s *source) error {
	if s.remote != nil {
		return nil
	}
	missing := s.layout.Missing()
	if a.canAsk() || len(missing) == 0 {
		return nil
	}
	var names []string
	for _, m := range missing {
		names = append(names, m.String())
	}
	return usage(fmt.Errorf("%s: not here, and nobody to ask: not a terminal", strings.Join(names, ", ")), "say where the others are: --volumes DIR,DIR")
}

// nextVolume asks for volume want until it, or another one of the snapshot, is there.
func (a *app) nextVolume(ctx context.Context, s *source, want layout.MissingVolume, where string) (*layout.Layout, string, error) {
	for {
		at, err := a.askFor(ctx, fmt.Sprintf("\nInsert %s and mount it.\nWhere is it? [%s] ", want, where))
		if err != nil {
			return nil, "", fmt.Errorf("%s: %w", want, err)
		}
		at = cmp.Or(at, where)
		l, err := layout.Open(at)
		if err == nil {
			if t := l.Volumes(); t != nil && t.Snapshot == s.Descriptor.Digest {
				return l, at, nil
			}
			err = errors.Join(fmt.Errorf("%s: not a volume of snapshot %s", at, s.Descriptor.Digest), l.Close())
		}
		a.note("%v", err)
	}
}
