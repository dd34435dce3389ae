package registry

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// Latest is the tag of a reference that names none.
const Latest = "latest"

// maxManifest is how large a manifest may be, in bytes: what registries take too.
const maxManifest = 4 << 20

// isManifest reports whether desc is fetched as a manifest, and not as a blob.
func isManifest(desc ocispec.Descriptor) bool {
	return desc.MediaType == ocispec.MediaTypeImageManifest || desc.MediaType == ocispec.MediaTypeImageIndex
}

// Resolve finds the manifest that a tag or digest names, "" being the tag latest. The
// descriptor has no annotations. A manifest that is not there is errdef.ErrNotFound.
func (r *Repository) Resolve(ctx context.Context, name string) (ocispec.Descriptor, error) {
	name = cmp.Or(name, Latest)
	var desc ocispec.Descriptor
	err := r.trying(ctx, r.named(name), func(ctx context.Context) (bool, error) {
		var err error
		desc, err = r.resolve(ctx, name)
		return false, err
	})
	return desc, err
}

func (r *Repository) resolve(ctx context.Context, name string) (_ ocispec.Descriptor, err error) {
	desc, body, err := r.remote.FetchReference(ctx, name)
	if err != nil {
		return desc, err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	// What its header says is a claim; the bytes are the proof.
	b, err := readManifest(body)
	if err != nil {
		return desc, err
	}
	got := digest.FromBytes(b)
	if want := digest.Digest(name); want.Validate() == nil && got != want {
		return desc, fmt.Errorf("manifest %s: %w: it has digest %s", name, content.ErrMismatchedDigest, got)
	}
	return ocispec.Descriptor{MediaType: desc.MediaType, Digest: got, Size: int64(len(b))}, nil
}

func readManifest(body io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(body, maxManifest+1))
	if err == nil && len(b) > maxManifest {
		err = errdef.ErrSizeExceedsLimit
	}
	return b, err
}

// named is a snapshot in words.
func (r *Repository) named(name string) string {
	ref := r.ref
	ref.Tag, ref.Digest = name, ""
	if d := digest.Digest(name); d.Validate() == nil {
		ref.Tag, ref.Digest = "", d
	}
	return "snapshot " + ref.String()
}

// Tags lists the tags of r in order.
func (r *Repository) Tags(ctx context.Context) ([]string, error) {
	var tags []string
	err := r.trying(ctx, "tags of "+r.ref.At(), func(ctx context.Context) (bool, error) {
		tags = nil
		return false, r.remote.Tags(ctx, "", func(page []string) error {
			tags = append(tags, page...)
			return nil
		})
	})
	var e *Error
	if errors.As(err, &e) && status(err) == http.StatusNotFound {
		e.Cause, e.Advice = "nothing was ever pushed there", "push a snapshot to it: xcrate push SRC "+r.ref.At()
	}
	slices.Sort(tags)
	return tags, err
}

// fetchManifest reads a manifest whole, and verifies it.
func (r *Repository) fetchManifest(ctx context.Context, desc ocispec.Descriptor) ([]byte, error) {
	if desc.Size > maxManifest {
		return nil, fmt.Errorf("manifest %s: %w", desc.Digest, errdef.ErrSizeExceedsLimit)
	}
	var b []byte
	err := r.trying(ctx, "manifest "+desc.Digest.String(), func(ctx context.Context) (bool, error) {
		body, err := r.remote.Fetch(ctx, desc)
		if err != nil {
			return false, err
		}
		b, err = content.ReadAll(body, desc)
		return false, errors.Join(err, body.Close())
	})
	return b, err
}

// putManifest stores a manifest under a tag, or under its digest if name is empty.
func (r *Repository) putManifest(ctx context.Context, desc ocispec.Descriptor, b []byte, name string) error {
	what := r.named(cmp.Or(name, desc.Digest.String()))
	return r.trying(r.scoped(ctx, auth.ActionPull, auth.ActionPush), what, func(ctx context.Context) (bool, error) {
		if name == "" {
			return false, r.remote.Push(ctx, desc, bytes.NewReader(b))
		}
		return false, r.remote.PushReference(ctx, desc, bytes.NewReader(b), name)
	})
}
