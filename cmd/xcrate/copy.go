package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/progress"
	"github.com/xcrate/xcrate/layout"
)

type copyOptions struct {
	source sourceOptions
	media  mediaOptions
	stick  stickOptions
	tags   []string
	json   bool
}

func (o *copyOptions) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringSliceVar(&o.tags, "tag", nil, "`NAME` of the snapshot in DEST (repeatable;\ndefault: those it has in SRC)")
	o.source.flags(c)
	f.BoolVar(&o.json, "json", false, "print the result as JSON")
}

func newCopy(a *app) *cobra.Command {
	var o copyOptions
	cmd := &cobra.Command{
		Use:   "copy SRC DEST",
		Short: "Copy a snapshot between sticks, discs, images and registries",
		Long: `Copy a snapshot to another place, without a new export: from a directory, an ISO
image, volumes or a registry to any of these. What is there already is not sent
again, what was interrupted goes on at the byte where it was, and every blob is
verified on its way.`,
		Example: `  xcrate copy /media/usb mn.iso
  xcrate copy /media/usb /backup/discs --media dvd
  xcrate copy /backup/discs /media/usb
  xcrate copy registry.example/mn/c7 registry.site/mn/c7`,
		Args: args("SRC", "DEST"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.stick.settle(cmd)
			return runCopy(cmd.Context(), a, args[0], args[1], o)
		},
	}
	o.media.flags(cmd.Flags())
	o.stick.flags(cmd.Flags())
	o.flags(cmd)
	return cmd
}

func newPush(a *app) *cobra.Command {
	var o copyOptions
	cmd := &cobra.Command{
		Use:   "push SRC HOST/REPOSITORY[:TAG]",
		Short: "Send a snapshot to a registry",
		Long: `Send a snapshot to a registry. Blobs that are there are not sent; an upload that
breaks goes on at the byte where it was, in another run too. The tag is set
last, when all is there.`,
		Example: `  xcrate push /media/usb registry.example/mn/cluster7
  xcrate push /backup/mn:before-upgrade registry.example:5000/mn/cluster7:v2`,
		Args: args("SRC", "HOST/REPOSITORY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := mustBe(args[1], true); err != nil {
				return err
			}
			return runCopy(cmd.Context(), a, args[0], args[1], o)
		},
	}
	o.flags(cmd)
	return cmd
}

func newPull(a *app) *cobra.Command {
	var o copyOptions
	cmd := &cobra.Command{
		Use:   "pull HOST/REPOSITORY[:TAG] DEST",
		Short: "Fetch a snapshot from a registry",
		Long: `Fetch a snapshot from a registry to a directory, an ISO image or volumes. Parts
that are there are not fetched; a download that breaks goes on at the byte where
it was, in another run too, and every blob is verified.`,
		Example: `  xcrate pull registry.example/mn/cluster7 /media/usb
  xcrate pull registry.example/mn/cluster7:v2 mn.iso
  xcrate pull registry.example/mn/cluster7@sha256:5891b5b5... /backup/mn`,
		Args: args("HOST/REPOSITORY", "DEST"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := errors.Join(mustBe(args[0], true), mustBe(args[1], false)); err != nil {
				return err
			}
			o.stick.settle(cmd)
			return runCopy(cmd.Context(), a, args[0], args[1], o)
		},
	}
	o.media.flags(cmd.Flags())
	o.stick.flags(cmd.Flags())
	o.flags(cmd)
	return cmd
}

// mustBe makes sure that text names a repository of a registry, or no such thing.
func mustBe(text string, remote bool) error {
	p, err := parsePlace(text)
	switch {
	case err != nil:
		return err
	case remote && p.remote == nil:
		return usage(fmt.Errorf("%s: not a repository of a registry", text), "a repository is HOST[:PORT]/NAME, where HOST has a dot, a port, or is\n        localhost; between other places: xcrate copy")
	case !remote && p.remote != nil:
		return usage(fmt.Errorf("%s: a repository of a registry", text), "for a directory of that name: ./"+text+"; between two registries: xcrate copy")
	}
	return nil
}

func runCopy(ctx context.Context, a *app, from, to string, o copyOptions) (err error) {
	dest, err := parsePlace(to)
	if err != nil {
		return err
	}
	if err := o.media.check(&dest); err != nil {
		return err
	}
	tag, err := dest.tag()
	if err != nil {
		return err
	}
	if tag != "" {
		o.tags = append(o.tags, tag)
	}
	for _, tag := range o.tags {
		if err := layout.CheckTag(tag); err != nil {
			return usage(err, "choose another name")
		}
	}
	s, err := a.openSnapshot(ctx, from, o.source)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if s.layout != nil && len(s.layout.Missing()) > 0 {
		return hint(fmt.Errorf("%s: %w: not here", s.layout.Missing()[0], layout.ErrVolume), "say where the others are: --volumes DIR,DIR")
	}
	if o.tags, err = s.tagsFor(ctx, o.tags); err != nil {
		return err
	}
	result, err := a.copyTo(ctx, s, dest, o)
	if err == nil && dest.remote == nil {
		err = o.stick.check(ctx, a, layout.Reference{Path: filepath.Clean(dest.Path), Digest: s.Descriptor.Digest})
	}
	if err != nil {
		return err
	}
	return a.copied(s, result, o.json)
}

// tagsFor is what s is called at its destination: what is given, or what it is called
// where it lies, or else as an export would call it.
func (s *source) tagsFor(ctx context.Context, given []string) ([]string, error) {
	if len(given) > 0 {
		return given, nil
	}
	tags, err := s.tags(ctx)
	if err != nil || len(tags) > 0 && !(len(tags) == 1 && tags[0] == layout.Latest) {
		return tags, err
	}
	return append([]string{defaultTag(s.Config)}, tags...), nil
}

// defaultTag is what a snapshot is called if nobody gives it a name.
func defaultTag(c artifact.Config) string {
	return c.Host.Name + "-" + c.Created.UTC().Format("20060102T150405Z")
}

// copyResult is what a copy did.
type copyResult struct {
	Place  string   `json:"place"`
	Tags   []string `json:"tags"`
	Digest string   `json:"digest"`
	Size   int64    `json:"size"` // of the snapshot, in bytes
	// Written is how much was not there before.
	Written int64 `json:"written"`
	// Volumes are the images or directories, where it went to such.
	Volumes []layout.Packed `json:"volumes,omitempty"`
}

func (a *app) copyTo(ctx context.Context, s *source, dest place, o copyOptions) (*copyResult, error) {
	p := a.progress()
	defer p.Done()
	result := &copyResult{Place: dest.String(), Tags: o.tags, Digest: s.Descriptor.Digest.String(), Size: s.Size()}
	if dest.remote == nil {
		result.Place = dest.Path
	}
	switch {
	case dest.remote != nil:
		return result, a.copyToRegistry(ctx, s, dest, o, p, result)
	case o.media.packed(dest):
		return result, pack(ctx, s, dest, o.media, p, result)
	}
	return result, a.copyToLayout(ctx, s, dest, o, p, result)
}

func (a *app) copyToRegistry(ctx context.Context, s *source, dest place, o copyOptions, p progress.Sink, result *copyResult) error {
	if s.remote != nil && o.source.username != "" && s.place.remote.Host != dest.remote.Host {
		return usage(fmt.Errorf("--username with two registries, %s and %s", s.place.remote.Host, dest.remote.Host), "a password is for one of them: podman login to both, or pull and push")
	}
	r, err := o.source.open(ctx, a, *dest.remote, p)
	if err != nil {
		return err
	}
	mount := ""
	if s.remote != nil && s.place.remote.Host == dest.remote.Host && s.place.remote.Repository != dest.remote.Repository {
		mount = s.place.remote.Repository
	}
	referrers, err := s.referrers(ctx, "")
	if err != nil {
		return err
	}
	p.Phase("sending", s.blobsSize())
	for _, one := range referrers { // first: who waits for the tag finds them
		if _, err := r.Push(ctx, s.Source, one.Descriptor, mount, nil); err != nil {
			return err
		}
	}
	result.Written, err = r.Push(ctx, s, s.Descriptor, mount, o.tags)
	return err
}

// copyToLayout adds s to the layout at dest. What was copied before an error stays, so
// that the next run has less to do.
func (a *app) copyToLayout(ctx context.Context, s *source, dest place, o copyOptions, p progress.Sink, result *copyResult) (err error) {
	var written counter
	w, err := layout.Create(dest.Path, layout.Options{Stored: func(desc ocispec.Descriptor, fresh bool) {
		if fresh {
			written.add(desc.Size)
		}
	}})
	if errors.Is(err, fs.ErrNotExist) {
		return hint(err, "make the directory it goes into first, or mount the stick")
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	blobs := s.blobs()
	if err := o.stick.roomFor(w, dest.Path, blobs); err != nil {
		return err
	}
	p.Phase("copying", s.Size())
	if err := w.ReceiveAll(ctx, s, blobs, o.source.parallel, p); err != nil {
		return err
	}
	result.Written = written.get()
	referrers, err := s.referrers(ctx, "")
	if err != nil {
		return err
	}
	var also []ocispec.Descriptor
	for _, one := range referrers {
		if err := w.ReceiveAll(ctx, s, layout.Blobs(one.Descriptor, one.Manifest), 1, progress.None()); err != nil {
			return err
		}
		also = append(also, one.Descriptor)
	}
	if err := w.CommitWith(ctx, also, s.indexEntry(), o.tags...); err != nil {
		return err
	}
	found, err := s.signatures(ctx)
	if err != nil {
		return err
	}
	return a.place(ctx, w, dest.Path, s.Snapshot, o.tags, found)
}

// indexEntry is the descriptor of s as an index lists it, whatever it came from said.
func (s *source) indexEntry() ocispec.Descriptor {
	desc := ocispec.Descriptor{
		MediaType: s.Descriptor.MediaType, Digest: s.Descriptor.Digest, Size: s.Descriptor.Size,
		ArtifactType: artifact.TypeSnapshot, Platform: s.Config.Platform(),
	}
	return desc
}

// pack writes s as images or volumes.
func pack(ctx context.Context, s *source, dest place, m mediaOptions, p progress.Sink, result *copyResult) error {
	capacity, err := m.capacity()
	if err != nil {
		return err
	}
	referrers, err := s.referrers(ctx, "")
	if err != nil {
		return err
	}
	found, err := s.signatures(ctx)
	if err != nil {
		return err
	}
	beside, err := companions(s.Snapshot, result.Tags, nil, found)
	if err != nil {
		return err
	}
	p.Phase("writing", s.Size())
	result.Volumes, err = layout.Pack(ctx, s, s.indexEntry(), s.Manifest, filepath.Clean(dest.Path), layout.PackOptions{
		Capacity: capacity, Image: m.image(dest), Tags: result.Tags, Created: s.Config.Created, Companions: beside, Referrers: referrers, Progress: p,
	})
	if errors.Is(err, fs.ErrExist) {
		return hint(err, "choose another name, or remove what is there")
	}
	for _, v := range result.Volumes {
		result.Written += v.Size
	}
	return hintMedia(err)
}
