package layout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/xcrate/xcrate/artifact"
)

// Referrer is a manifest that says something about another: a signature, a list of
// what is in it (image-spec 1.1, "manifest", property subject).
type Referrer struct {
	Descriptor ocispec.Descriptor // as an index lists it
	Manifest   ocispec.Manifest
}

// Limits on what is read to find referrers, of which none of ours comes near.
const (
	maxReferrers        = 4096
	maxReferrerManifest = 256 << 10 // bytes
)

// Referrers lists the manifests of the index whose subject is the manifest of desc, as
// far as they can be read, those of artifactType if that is not "". What an entry says of
// itself decides which are opened: none, for a snapshot to which none of that type refers
// in a layout of ours.
func (l *Layout) Referrers(ctx context.Context, desc ocispec.Descriptor, artifactType string) ([]Referrer, error) {
	var list []Referrer
	seen := map[digest.Digest]bool{desc.Digest: true}
	for _, e := range l.index.entries {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if seen[e.desc.Digest] || !e.mayReferTo(desc.Digest) || !isOfType(e.desc.ArtifactType, artifactType) {
			continue
		}
		seen[e.desc.Digest] = true
		if len(seen) > maxReferrers {
			return nil, fmt.Errorf("layout %s: more than %d entries that may refer to %s", l.store.dir, maxReferrers, desc.Digest)
		}
		m, err := ReadReferrer(ctx, l, e.desc)
		if err != nil || m.Subject == nil || m.Subject.Digest != desc.Digest || artifactType != "" && m.ArtifactType != artifactType {
			continue // of something else, or damaged: then it proves nothing
		}
		list = append(list, Referrer{artifact.ReferrerEntry(e.desc, desc, m.ArtifactType), m})
	}
	return list, nil
}

// isOfType reports whether what says it is of type said, or does not say, may be wanted.
func isOfType(said, wanted string) bool { return said == "" || wanted == "" || said == wanted }

// mayReferTo reports whether the entry's manifest may have subject d.
func (e entry) mayReferTo(d digest.Digest) bool {
	if e.err != nil || e.desc.MediaType != ocispec.MediaTypeImageManifest || checkDigest(e.desc.Digest) != nil {
		return false
	}
	if about, said := e.desc.Annotations[artifact.AnnotationSubject]; said {
		return about == d.String()
	}
	return e.desc.ArtifactType != artifact.TypeSnapshot
}

// ReadReferrer reads the manifest of desc, which is a small one.
func ReadReferrer(ctx context.Context, from Source, desc ocispec.Descriptor) (m ocispec.Manifest, err error) {
	if desc.Size > maxReferrerManifest {
		return m, fmt.Errorf("manifest %s: %d bytes, at most %d", desc.Digest, desc.Size, maxReferrerManifest)
	}
	r, err := from.Fetch(ctx, desc)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	b, err := io.ReadAll(r)
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	return m, err
}
