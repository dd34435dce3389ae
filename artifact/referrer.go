package artifact

import (
	"context"
	"fmt"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"
)

// AnnotationSubject is, on the entry of a referrer in an index, the digest of the
// manifest it refers to: whoever looks for the referrers of one need not open those of
// all others.
const AnnotationSubject = "dev.xcrate.subject"

// PackReferrer pushes a manifest that says something about subject (image-spec 1.1,
// "manifest", property subject), which is in blob and called title. It returns its
// descriptor as an index lists it. Same arguments, same digest.
func PackReferrer(ctx context.Context, to content.Pusher, subject, blob ocispec.Descriptor, title string, created time.Time) (ocispec.Descriptor, error) {
	about := ocispec.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size}
	desc, err := oras.PackManifest(ctx, to, oras.PackManifestVersion1_1, blob.MediaType, oras.PackManifestOptions{
		Subject:             &about,
		Layers:              []ocispec.Descriptor{blob},
		ManifestAnnotations: map[string]string{ocispec.AnnotationCreated: created.UTC().Format(time.RFC3339), ocispec.AnnotationTitle: title},
	})
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("referrer: %w", err)
	}
	return ReferrerEntry(desc, subject, blob.MediaType), nil
}

// ReferrerEntry is the descriptor of a referrer of subject as an index lists it.
func ReferrerEntry(desc, subject ocispec.Descriptor, artifactType string) ocispec.Descriptor {
	return ocispec.Descriptor{
		MediaType: desc.MediaType, Digest: desc.Digest, Size: desc.Size, ArtifactType: artifactType,
		Annotations: map[string]string{AnnotationSubject: subject.Digest.String()},
	}
}
