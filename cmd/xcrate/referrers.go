package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/sign"
	"github.com/xcrate/xcrate/layout"
)

// referrers lists what says something about s where it lies, of artifactType if that is
// not "".
func (s *source) referrers(ctx context.Context, artifactType string) ([]layout.Referrer, error) {
	if s.layout != nil {
		return s.layout.Referrers(ctx, s.desc, artifactType)
	}
	all, err := s.remote.Referrers(ctx, s.desc, artifactType)
	if err != nil {
		return nil, err
	}
	var list []layout.Referrer
	for _, desc := range all {
		m, err := layout.ReadReferrer(ctx, s.Source, desc)
		if err != nil {
			return nil, fmt.Errorf("referrer %s: %w", desc.Digest, err)
		}
		if m.Subject != nil && m.Subject.Digest == s.desc.Digest {
			list = append(list, layout.Referrer{Descriptor: artifact.ReferrerEntry(desc, s.desc, m.ArtifactType), Manifest: m})
		}
	}
	return list, nil
}

// signature is one that lies with a snapshot, and the bundle it is in.
type signature struct {
	sign.Signature
	bundle []byte
}

// signatures lists the signatures of s that a key may verify. What cannot be read proves
// nothing, and is none.
func (s *source) signatures(ctx context.Context) ([]signature, error) {
	all, err := s.referrers(ctx, sign.TypeBundle)
	if err != nil {
		return nil, err
	}
	var list []signature
	for _, r := range all {
		if len(r.Manifest.Layers) != 1 || r.Manifest.Layers[0].Size > sign.MaxBundle {
			continue
		}
		b, err := fetchSmall(ctx, s.Source, r.Manifest.Layers[0])
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			continue
		}
		if one, err := sign.Parse(b, s.desc.Digest); err == nil {
			list = append(list, signature{one, b})
		}
	}
	return list, nil
}

// fetchSmall reads a blob whole, whose size was looked at.
func fetchSmall(ctx context.Context, from content.Fetcher, desc ocispec.Descriptor) (_ []byte, err error) {
	r, err := from.Fetch(ctx, desc)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	return io.ReadAll(r)
}

// pusher is where a referrer is stored.
type pusher interface {
	Push(ctx context.Context, desc ocispec.Descriptor, r io.Reader) error
}

// inMemory is a Source and a Pusher of a few small blobs: a referrer on its way to a
// registry.
type inMemory map[digest.Digest][]byte

// Push implements content.Pusher.
func (m inMemory) Push(_ context.Context, desc ocispec.Descriptor, r io.Reader) error {
	b, err := content.ReadAll(r, desc)
	if err == nil {
		m[desc.Digest] = b
	}
	return err
}

// Fetch implements layout.Source.
func (m inMemory) Fetch(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	return m.FetchFrom(ctx, desc, 0)
}

// FetchFrom implements layout.Source.
func (m inMemory) FetchFrom(_ context.Context, desc ocispec.Descriptor, offset int64) (io.ReadCloser, error) {
	b, ok := m[desc.Digest]
	if !ok {
		return nil, fmt.Errorf("blob %s: not here", desc.Digest)
	}
	return io.NopCloser(bytes.NewReader(b[min(offset, int64(len(b))):])), nil
}
