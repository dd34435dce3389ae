package artifact

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
)

// ErrForeign is wrapped by errors about something that is an OCI artifact, and
// not a snapshot.
var ErrForeign = errors.New("not an xcrate snapshot")

// MaxParts is how many parts of trees a snapshot may have: 1.6 MiB of manifest.
// Registries refuse more than 4.
const MaxParts = 4096

// Limits on what is read whole. A config grows with packages and left-outs.
const (
	maxManifest = 4 << 20
	maxConfig   = 64 << 20
	maxLayers   = 2 * MaxParts // packages have parts too
)

// Snapshot is a manifest and its config, both read and checked.
type Snapshot struct {
	Descriptor ocispec.Descriptor
	Manifest   ocispec.Manifest
	Config     Config
	// Key is that of the digests of sealed files, nil before they are unsealed.
	Key DigestKey
}

// Load reads the snapshot whose manifest is desc. Anything that is not one of
// ours, or not of a format this program reads, is an error; the layers' blobs
// are not looked at.
func Load(ctx context.Context, f content.Fetcher, desc ocispec.Descriptor) (*Snapshot, error) {
	if desc.MediaType != ocispec.MediaTypeImageManifest {
		return nil, fmt.Errorf("manifest %s: %w: media type %q", desc.Digest, ErrForeign, desc.MediaType)
	}
	raw, err := fetchAll(ctx, f, desc, maxManifest)
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	s := &Snapshot{Descriptor: desc}
	if err := json.Unmarshal(raw, &s.Manifest); err != nil {
		return nil, fmt.Errorf("manifest %s: %w", desc.Digest, err)
	}
	if err := s.checkManifest(); err != nil {
		return nil, fmt.Errorf("manifest %s: %w", desc.Digest, err)
	}
	if raw, err = fetchAll(ctx, f, s.Manifest.Config, maxConfig); err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	if s.Config, err = ParseConfig(raw); err != nil {
		return nil, fmt.Errorf("manifest %s: %w", desc.Digest, err)
	}
	if err := s.checkKinds(); err != nil {
		return nil, fmt.Errorf("manifest %s: %w", desc.Digest, err)
	}
	return s, nil
}

func (s *Snapshot) checkManifest() error {
	m := s.Manifest
	switch {
	case m.ArtifactType != TypeSnapshot || m.Config.MediaType != TypeConfig:
		return fmt.Errorf("%w: artifactType %q, config type %q", ErrForeign, m.ArtifactType, m.Config.MediaType)
	case m.Annotations[AnnotationFormat] != fmt.Sprint(FormatVersion):
		return fmt.Errorf("format %q: this program reads format %d", m.Annotations[AnnotationFormat], FormatVersion)
	case len(m.Layers) > maxLayers:
		return fmt.Errorf("%d layers, at most %d", len(m.Layers), maxLayers)
	}
	last, lastPart, lastParts := -1, 0, 0
	for _, l := range append([]ocispec.Descriptor{m.Config}, m.Layers...) {
		if err := l.Digest.Validate(); err != nil || l.Digest.Algorithm() != digest.SHA256 {
			return fmt.Errorf("descriptor %q: not a sha256 digest", l.Digest)
		}
		if l.Size < 0 {
			return fmt.Errorf("descriptor %s: size %d", l.Digest, l.Size)
		}
	}
	for _, l := range m.Layers {
		k, part, parts, err := layerPart(l)
		if err != nil {
			return err
		}
		inOrder := (k.rank() > last && part == 1 && lastPart == lastParts) ||
			(k.rank() == last && part == lastPart+1 && parts == lastParts)
		if !inOrder {
			return fmt.Errorf("layer %s: kind %s, part %d/%d: out of order", l.Digest, k, part, parts)
		}
		if !mediaTypeFits(k, l.MediaType) {
			return fmt.Errorf("layer %s: kind %s: media type %q", l.Digest, k, l.MediaType)
		}
		last, lastPart, lastParts = k.rank(), part, parts
	}
	if lastPart != lastParts {
		return fmt.Errorf("part %d of %d is the last", lastPart, lastParts)
	}
	if len(s.Layers(KindCatalog)) != 1 {
		return fmt.Errorf("%d catalogs, not one", len(s.Layers(KindCatalog)))
	}
	return nil
}

// checkKinds compares what the config says of the kinds with the layers.
func (s *Snapshot) checkKinds() error {
	for _, k := range Kinds() {
		sum, _ := s.Config.Kind(k)
		if k.HasEntries() && sum.Parts != len(s.Layers(k)) {
			return fmt.Errorf("kind %s: config says %d parts, manifest lists %d", k, sum.Parts, len(s.Layers(k)))
		}
		for _, l := range s.Layers(k) {
			if _, sealed := OpenedType(l.MediaType); sealed != s.Config.IsSealed(k) {
				return fmt.Errorf("kind %s: layer %s has media type %q: the config says otherwise of what is sealed", k, l.Digest, l.MediaType)
			}
		}
	}
	return nil
}

func mediaTypeFits(k Kind, mediaType string) bool {
	switch k {
	case KindCatalog:
		return mediaType == TypeCatalog
	case KindTool:
		return mediaType == TypeTool
	default:
		return slices.Contains([]string{TypeTar, TypeTarZstd, TypeTarAge, TypeTarZstdAge}, mediaType)
	}
}

// Layers returns the layers of kind k in order.
func (s *Snapshot) Layers(k Kind) []ocispec.Descriptor {
	var all []ocispec.Descriptor
	for _, l := range s.Manifest.Layers {
		if l.Annotations[AnnotationKind] == string(k) {
			all = append(all, l)
		}
	}
	return all
}

// Size is the number of bytes of all blobs of the snapshot.
func (s *Snapshot) Size() int64 {
	size := s.Descriptor.Size + s.Manifest.Config.Size
	for _, l := range s.Manifest.Layers {
		size += l.Size
	}
	return size
}

// Catalog calls fn for every record of the catalog. The catalog is verified
// when Catalog returns nil, not before.
func (s *Snapshot) Catalog(ctx context.Context, f content.Fetcher, fn func(Entry) error) (err error) {
	blob, err := fetchAhead(ctx, f, s.Layers(KindCatalog)[0])
	if err != nil {
		return fmt.Errorf("catalog: %w", err)
	}
	defer func() { err = errors.Join(err, blob.Close()) }()
	c, err := NewCatalogReader(blob)
	if err != nil {
		return fmt.Errorf("catalog: %w", err)
	}
	defer c.Close()
	most := s.entries()
	for n := int64(0); ; n++ {
		e, err := c.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil && n >= most {
			err = fmt.Errorf("catalog: more than the %d records that the config counts", most)
		}
		if err != nil {
			if _, damaged := io.Copy(io.Discard, blob); damaged != nil {
				return fmt.Errorf("catalog: %w", damaged)
			}
			return err
		}
		if err := fn(e); err != nil {
			return err
		}
	}
	if _, err := io.Copy(io.Discard, blob); err != nil {
		return fmt.Errorf("catalog: %w", err)
	}
	return nil
}

// entries is how many the config counts.
func (s *Snapshot) entries() (n int64) {
	for _, k := range s.Config.Kinds {
		n += k.Entries
	}
	return n
}

// fetchAll reads a small blob whole. The fetcher checks size and digest.
func fetchAll(ctx context.Context, f content.Fetcher, desc ocispec.Descriptor, limit int64) (b []byte, err error) {
	if desc.Size > limit {
		return nil, fmt.Errorf("blob %s: %d bytes, at most %d", desc.Digest, desc.Size, limit)
	}
	r, err := f.Fetch(ctx, desc)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	return io.ReadAll(r)
}
