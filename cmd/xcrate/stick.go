package main

import (
	"context"
	"errors"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/layout"
)

// stickOptions say how a directory is written that may be a stick.
type stickOptions struct {
	readBack     bool
	readBackSaid bool // by a flag
	noSpaceCheck bool
}

const readBackFlag = "read-back"

func (o *stickOptions) flags(f *pflag.FlagSet) {
	f.BoolVar(&o.readBack, readBackFlag, false, "read what was written from the medium itself\n(default: on sticks and cards)")
	f.BoolVar(&o.noSpaceCheck, "no-space-check", false, "begin even if it may not fit")
}

// settle notes what was said.
func (o *stickOptions) settle(c *cobra.Command) { o.readBackSaid = c.Flags().Changed(readBackFlag) }

// estimated makes sure that about need bytes more, in so many blobs, can fit into the
// layout at dir. An estimate may be wrong by half: what might fit is begun.
func (o *stickOptions) estimated(a *app, w *layout.Writer, dir string, need int64, blobs int) error {
	free, err := layout.Free(dir)
	if err == nil && uint64(need) > free && uint64(need)/2 <= free {
		a.note("about %s to come, and %s free in %s: it may not fit", size(need), size(int64(free)), dir)
	}
	return errors.Join(err, o.room(dir, need/2, blobs, w.Blobs()))
}

// room makes sure that need bytes more in so many blobs fit into the layout at dir.
func (o *stickOptions) room(dir string, need int64, blobs, there int) error {
	if o.noSpaceCheck {
		return nil
	}
	free, err := layout.Free(dir)
	if err != nil {
		return err
	}
	if uint64(need) > free {
		err = fmt.Errorf("layout %s: at least %s to come, and %s free: %w", dir, size(need), size(int64(free)), unix.ENOSPC)
		return hint(err, "free space there, or choose another place;\n        to begin all the same: --no-space-check")
	}
	limits, err := layout.LimitsOf(dir)
	if err == nil && limits.Blobs > 0 && there+blobs > limits.Blobs {
		err = fmt.Errorf("layout %s: %d parts to come and %d there, and a directory of %s takes %d: %w", dir, blobs, there, limits.Filesystem, limits.Blobs, unix.ENOSPC)
		err = hint(err, "choose an empty directory there, or another filesystem (exFAT, ext4)")
	}
	return err
}

// roomFor makes sure that there is space in the layout at dir for those of blobs that it
// does not have.
func (o *stickOptions) roomFor(w *layout.Writer, dir string, blobs []ocispec.Descriptor) error {
	var need int64
	n := 0
	for _, d := range blobs {
		if !w.Has(d) {
			need += d.Size
			n++
		}
	}
	return o.room(dir, need, n, w.Blobs())
}

// check reads back what was just written to place p, if it is to be.
func (o *stickOptions) check(ctx context.Context, a *app, p layout.Reference) error {
	if !o.readBack && (o.readBackSaid || !layout.Removable(p.Path)) {
		return nil
	}
	err := a.readBack(ctx, p)
	if isCorrupt(err) {
		return hint(err, "the medium is bad, or pretends to be larger than it is: use another one")
	}
	return err
}

// readBack reads the snapshot p from the medium it is on.
func (a *app) readBack(ctx context.Context, p layout.Reference) (err error) {
	s, err := a.openSnapshot(ctx, p.String(), sourceOptions{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.layout.Uncache(s.blobs()); err != nil {
		return err
	}
	v, err := a.verify(ctx, s)
	if err != nil || !v.damaged() {
		return err
	}
	for _, problem := range v.problems() {
		a.note("%v", problem)
	}
	return fmt.Errorf("%s: %w: it does not hold what was written", p.Path, layout.ErrCorrupt)
}
