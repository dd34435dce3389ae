package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// Push sends the snapshot of the manifest desc, then sets tags, latest last. The manifest
// goes when all blobs are there, so whoever sees it sees all. What the registry has
// already is not sent; mount is another repository of it that may have blobs, "" if
// there is none. It returns how many bytes of blobs were sent.
func (r *Repository) Push(ctx context.Context, from Source, desc ocispec.Descriptor, mount string, tags []string) (int64, error) {
	b, m, err := sourceManifest(ctx, from, desc)
	if err != nil {
		return 0, err
	}
	ctx = r.scoped(ctx, auth.ActionPull, auth.ActionPush)
	if mount != "" {
		other := r.remote.Reference
		other.Repository = mount
		ctx = auth.AppendRepositoryScope(ctx, other, auth.ActionPull)
	}
	r.sent.Store(0)
	// Who watches for the newest finds its own tag there too.
	tags = slices.SortedStableFunc(slices.Values(tags), func(a, b string) int { return isLatest(a) - isLatest(b) })
	g, groupCtx := errgroup.WithContext(ctx)
	g.SetLimit(max(r.opt.Parallel, 1))
	seen := map[digest.Digest]bool{}
	for _, blob := range append([]ocispec.Descriptor{m.Config}, m.Layers...) {
		if seen[blob.Digest] {
			continue
		}
		seen[blob.Digest] = true
		g.Go(func() error { return r.pushBlob(groupCtx, from, blob, mount) })
	}
	err = g.Wait()
	for i := 0; err == nil && i <= len(tags); i++ {
		name := "" // first the manifest itself
		if i > 0 {
			name = tags[i-1]
		}
		err = r.putManifest(ctx, desc, b, name)
	}
	return r.sent.Load(), err
}

func isLatest(tag string) int {
	if tag == Latest {
		return 1
	}
	return 0
}

// MayPush finds out whether r takes blobs from this client, for who has hours of work to
// do before there is one. It begins an upload, and ends it.
func (r *Repository) MayPush(ctx context.Context) error {
	ctx = r.scoped(ctx, auth.ActionPull, auth.ActionPush)
	u := &upload{r: r}
	err := r.trying(ctx, "upload to "+r.ref.At(), func(ctx context.Context) (bool, error) { return false, u.begin(ctx) })
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodDelete, u.at.String(), nil)
	if err == nil {
		_, _ = r.request(req) // a registry that cannot do that sweeps uploads itself
	}
	return err
}

// sourceManifest reads a manifest where it comes from.
func sourceManifest(ctx context.Context, from Source, desc ocispec.Descriptor) ([]byte, ocispec.Manifest, error) {
	var m ocispec.Manifest
	src, err := from.Fetch(ctx, desc)
	if err != nil {
		return nil, m, err
	}
	b, err := content.ReadAll(src, desc)
	if err = errors.Join(err, src.Close()); err != nil {
		return nil, m, fmt.Errorf("manifest %s: %w", desc.Digest, err)
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, m, fmt.Errorf("manifest %s: %w", desc.Digest, err)
	}
	return b, m, nil
}

// pushBlob sends a blob that is not there.
func (r *Repository) pushBlob(ctx context.Context, from Source, desc ocispec.Descriptor, mount string) error {
	var there bool
	err := r.trying(ctx, "blob "+desc.Digest.String(), func(ctx context.Context) (_ bool, err error) {
		there, err = r.has(ctx, desc)
		return false, err
	})
	if err != nil {
		return err
	}
	if there {
		r.opt.Progress.Add(desc.Size)
		return nil
	}
	return r.upload(ctx, from, desc, mount)
}
