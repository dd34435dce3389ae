// Package seal keeps contents of a snapshot from whoever has no key. Formats are age's
// (age-encryption.org/v1), so that its own tool opens what is sealed here.
//
// Layers are sealed to one key, which is the same for all snapshots of a host to the
// same recipients, and that key is sealed to each of the recipients, in envelopes that
// the config holds. So a passphrase and keys go together, a passphrase is stretched
// once and not for every layer, and a part that has not changed need not be sealed
// again.
package seal

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"

	"github.com/xcrate/xcrate/artifact"
)

// Key is what the layers of snapshots are sealed to, and what opens them.
type Key struct{ identity *age.X25519Identity }

// NewKey makes a key.
func NewKey() (*Key, error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, err
	}
	return &Key{id}, nil
}

// ParseKey reads what Text returned. Its errors do not show the text.
func ParseKey(text string) (*Key, error) {
	id, err := age.ParseX25519Identity(text)
	if err != nil {
		return nil, errors.New("key of a snapshot: not an age identity")
	}
	return &Key{id}, nil
}

// Text is the key as an identity of age: who has it can read every layer.
func (k *Key) Text() string { return k.identity.String() }

// ID names the key and opens nothing.
func (k *Key) ID() string { return k.identity.Recipient().String() }

// Encrypt returns a writer that seals what is written to it into w. Close ends it and
// leaves w open.
func (k *Key) Encrypt(w io.Writer) (io.WriteCloser, error) {
	return age.Encrypt(w, k.identity.Recipient())
}

// digestInfo tells the key of digests from other keys that may be made of the same one.
const digestInfo = "xcrate snapshot digests v1"

// Digests is the key of the digests of sealed files (HKDF-SHA256, RFC 5869).
func (k *Key) Digests() (artifact.DigestKey, error) {
	return hkdf.Key(sha256.New, []byte(k.Text()), nil, digestInfo, sha256.Size)
}

// SealFacts seals facts.
func (k *Key) SealFacts(facts artifact.SealedFacts) ([]byte, error) {
	doc, err := json.Marshal(facts)
	if err != nil {
		return nil, err
	}
	return encrypt(doc, k.identity.Recipient())
}

// Unseal returns snapshot s as it would be if nothing in it were sealed, and where its
// blobs can be fetched then. Blobs are opened while they are read, and what is wrong
// with a blob is said before what is wrong with its sealing.
func (k *Key) Unseal(f content.Fetcher, s *artifact.Snapshot) (content.Fetcher, *artifact.Snapshot, error) {
	opened := *s
	if s.Config.Secrets != nil && len(s.Config.Secrets.Facts) > 0 {
		var facts artifact.SealedFacts
		doc, err := decrypt(s.Config.Secrets.Facts, k.identity)
		if err == nil {
			err = json.Unmarshal(doc, &facts)
		}
		if err == nil {
			err = opened.Config.UnsealFacts(facts)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("sealed facts: %w", err)
		}
	}
	var err error
	if opened.Key, err = k.Digests(); err != nil {
		return nil, nil, err
	}
	from := &unsealer{Fetcher: f, key: k, sealed: map[digest.Digest]ocispec.Descriptor{}}
	opened.Manifest.Layers = nil
	open := map[digest.Digest]bool{}
	for _, l := range s.Manifest.Layers {
		mediaType, sealed := artifact.OpenedType(l.MediaType)
		if sealed {
			from.sealed[l.Digest] = l
		} else {
			open[l.Digest] = true
		}
		l.MediaType = mediaType
		opened.Manifest.Layers = append(opened.Manifest.Layers, l)
	}
	for d := range from.sealed {
		if open[d] {
			return nil, nil, fmt.Errorf("layer %s: listed as sealed and as not sealed", d)
		}
	}
	return from, &opened, nil
}

// unsealer opens sealed blobs.
type unsealer struct {
	content.Fetcher
	key    *Key
	sealed map[digest.Digest]ocispec.Descriptor // as the manifest lists them
}

// Fetch implements content.Fetcher.
func (u *unsealer) Fetch(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	listed, sealed := u.sealed[desc.Digest]
	if !sealed {
		return u.Fetcher.Fetch(ctx, desc)
	}
	blob, err := u.Fetcher.Fetch(ctx, listed)
	if err != nil {
		return nil, err
	}
	return &opening{blob: blob, key: u.key, digest: desc.Digest}, nil
}

// opening opens a blob while it is read.
type opening struct {
	blob   io.ReadCloser
	key    *Key
	digest digest.Digest
	plain  io.Reader // nil before the first read
}

// Read implements io.Reader.
func (o *opening) Read(p []byte) (n int, err error) {
	if o.plain == nil {
		if o.plain, err = age.Decrypt(o.blob, o.key.identity); err != nil {
			return 0, o.explain(err)
		}
	}
	n, err = o.plain.Read(p)
	if err != nil {
		err = o.explain(err)
	}
	return n, err
}

// explain reads the blob to its end, where it is verified: a damaged one explains why it
// cannot be opened, and the end of what is sealed in it says nothing of what follows.
func (o *opening) explain(err error) error {
	if _, damaged := io.Copy(io.Discard, o.blob); damaged != nil {
		return damaged
	}
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	return fmt.Errorf("blob %s: sealed: %w", o.digest, err)
}

// Close implements io.Closer.
func (o *opening) Close() error { return o.blob.Close() }
