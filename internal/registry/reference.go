package registry

import (
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	oras "oras.land/oras-go/v2/registry"
)

// Reference names a repository of a registry, or one snapshot in it.
type Reference struct {
	// Host is the registry, HOST or HOST:PORT.
	Host string
	// Repository is the repository's name in it.
	Repository string
	// Tag is the snapshot's tag, "" if none was given.
	Tag string
	// Digest is the digest of the snapshot's manifest, "" if none was given. With a
	// digest, Tag is empty: the digest alone counts.
	Digest digest.Digest
}

// ParseReference reads HOST/REPOSITORY with :TAG or @sha256:HEX or none of them, as
// distribution-spec allows names ("Pulling manifests").
func ParseReference(text string) (Reference, error) {
	parsed, err := oras.ParseReference(text)
	if err != nil {
		return Reference{}, fmt.Errorf("reference %q: %s", text, strings.TrimPrefix(err.Error(), "invalid reference: "))
	}
	ref := Reference{Host: parsed.Registry, Repository: parsed.Repository}
	d, err := parsed.Digest()
	switch {
	case err != nil:
		ref.Tag = parsed.Reference
	case d.Algorithm() != digest.SHA256:
		return Reference{}, fmt.Errorf("reference %q: only sha256 is used", text)
	default:
		ref.Digest = d
	}
	return ref, nil
}

// At is the repository, HOST/REPOSITORY.
func (r Reference) At() string { return r.Host + "/" + r.Repository }

// String writes r so that ParseReference reads the same from it.
func (r Reference) String() string {
	switch {
	case r.Digest != "":
		return r.At() + "@" + r.Digest.String()
	case r.Tag != "":
		return r.At() + ":" + r.Tag
	}
	return r.At()
}
