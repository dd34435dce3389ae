package registry

import (
	"context"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// maxReferrers is of how many manifests that refer to a snapshot anything is read.
const maxReferrers = 256

// Referrers lists the manifests whose subject is the manifest of desc, those of
// artifactType if that is not "", by the API of
// distribution-spec 1.1 ("Listing Referrers"), or by the tag that stands in for it where a
// registry does not have that.
func (r *Repository) Referrers(ctx context.Context, desc ocispec.Descriptor, artifactType string) ([]ocispec.Descriptor, error) {
	var all []ocispec.Descriptor
	ctx = r.scoped(ctx, auth.ActionPull)
	err := r.trying(ctx, "referrers of "+r.named(desc.Digest.String()), func(ctx context.Context) (bool, error) {
		all = nil
		return false, r.remote.Referrers(ctx, desc, artifactType, func(page []ocispec.Descriptor) error {
			if all = append(all, page...); len(all) > maxReferrers {
				return fmt.Errorf("more than %d", maxReferrers)
			}
			return nil
		})
	})
	return all, err
}
