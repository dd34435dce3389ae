package layers

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/zeebo/blake3"

	"github.com/xcrate/xcrate/artifact"
)

// Seal says which kinds are sealed, and how.
type Seal struct {
	Kinds []artifact.Kind
	// ID names the key: what was sealed to another is not taken over.
	ID string
	// Digests is the key of what the catalog says of contents, and of what is kept to
	// see that they have not changed.
	Digests artifact.DigestKey
	// Encrypt returns a writer that seals what is written to it into w.
	Encrypt func(w io.Writer) (io.WriteCloser, error)
}

// of returns s if layers of kind k are sealed, else nil.
func (s *Seal) of(k artifact.Kind) *Seal {
	if s == nil || !slices.Contains(s.Kinds, k) {
		return nil
	}
	return s
}

// id is what the key of a part's files has of sealing.
func (s *Seal) id(k artifact.Kind) string {
	if s = s.of(k); s != nil {
		return s.ID
	}
	return ""
}

// errSame says that what was written and sealed anew is in the base already.
var errSame = errors.New("the same as in the base")

// sealing writes one sealed layer, and finds out whether the base has one with the
// same contents: no two age files are the same, so the bytes do not tell.
type sealing struct {
	*Seal
	c    *capture
	kind artifact.Kind
	sum  *blake3.Hasher // of the tar stream
}

func (c *capture) sealing(k artifact.Kind) (*sealing, error) {
	s := c.o.Seal.of(k)
	if s == nil {
		return nil, nil
	}
	var key [32]byte
	copy(key[:], s.Digests)
	sum, err := blake3.NewKeyed(key[:])
	if err != nil {
		return nil, err
	}
	return &sealing{Seal: s, c: c, kind: k, sum: sum}, nil
}

// noteContent remembers for the next capture what is in a sealed layer.
func (c *capture) noteContent(desc ocispec.Descriptor, content string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.result.Contents == nil {
		c.result.Contents = Known{}
	}
	c.result.Contents[desc.Digest] = content
}

// content names the contents of the layer, and nobody without the key can tell which
// they are. The media type is part of it, since it says how they are written.
func (s *sealing) content(mediaType string) string {
	_, _ = s.sum.Write([]byte("\x00" + string(s.kind) + "\x00" + mediaType)) // a hash never fails
	return hex.EncodeToString(s.sum.Sum(nil))
}

// base returns the layer of the base with these contents, if the sink has it or can get
// it.
func (s *sealing) base(ctx context.Context, content string) (ocispec.Descriptor, bool, error) {
	b := s.c.o.Base
	if b == nil {
		return ocispec.Descriptor{}, false, nil
	}
	for _, l := range b.Snapshot.Layers(s.kind) {
		if b.Contents[l.Digest] == content {
			have, err := s.c.bring(ctx, l)
			return ocispec.Descriptor{MediaType: l.MediaType, Digest: l.Digest, Size: l.Size}, have, err
		}
	}
	return ocispec.Descriptor{}, false, nil
}
