package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"
	"oras.land/oras-go/v2/content"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/sign"
	"github.com/xcrate/xcrate/layout"
)

// signOptions say with what a snapshot is signed.
type signOptions struct {
	file         string
	passphraseFD string

	key *ecdsa.PrivateKey // once it is read, nil if there is none
}

// read reads the key, before there is anything to sign: a passphrase is not asked for
// after hours.
func (o *signOptions) read(ctx context.Context, a *app) error {
	if o.file == "" {
		return nil
	}
	b, err := readFile(o.file, maxIdentity)
	if err == nil {
		o.key, err = sign.ParsePrivate(b, func() (string, error) {
			if o.passphraseFD != "" {
				return a.readPassphrase(o.passphraseFD)
			}
			return a.askSecret(ctx, "Passphrase of "+o.file+": ")
		})
	}
	if err != nil {
		err = fmt.Errorf("signing key %s: %w", o.file, err)
	}
	if errors.Is(err, errNobody) {
		return usage(err, "give its passphrase on a descriptor: --sign-passphrase-fd 3 3< FILE")
	}
	return err
}

func newSign(a *app) *cobra.Command {
	var o signOptions
	var source sourceOptions
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "sign SRC --key FILE",
		Short: "Sign a snapshot",
		Long: `Sign a snapshot with a private key (ECDSA P-256): of xcrate keygen, of openssl, or
of cosign. What is signed is the manifest, which has the digest of every part. The
signature lies beside the snapshot, and copies take it along; on a stick it is a
file as well, which openssl and cosign verify.`,
		Example: `  xcrate sign /media/usb --key vendor.key
  xcrate sign registry.example/mn/cluster7:v2 --key vendor.key`,
		Args: args("SRC"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runSign(cmd.Context(), a, args[0], o, source, asJSON)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.file, "key", "", "the private key in `FILE` (PEM)")
	f.StringVar(&o.passphraseFD, passphraseFlag, "", "read its passphrase from descriptor `N`")
	f.BoolVar(&asJSON, "json", false, "print the result as JSON")
	source.flags(cmd)
	return cmd
}

// signed is what sign prints as JSON.
type signed struct {
	Reference string `json:"reference"`
	Digest    string `json:"digest"`
	Key       string `json:"key"` // fingerprint
	// Already says that a signature with the key was there.
	Already bool `json:"already,omitempty"`
}

func runSign(ctx context.Context, a *app, text string, o signOptions, from sourceOptions, asJSON bool) (err error) {
	if o.file == "" {
		return usage(errors.New("sign: --key is missing"), "make one: xcrate keygen NAME; then: xcrate sign "+text+" --key NAME.key")
	}
	if err := o.read(ctx, a); err != nil {
		return err
	}
	s, err := a.openSnapshot(ctx, text, from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	done := signed{Reference: s.place.String(), Digest: s.desc.Digest.String(), Key: sign.Fingerprint(&o.key.PublicKey)}
	had, err := s.signatures(ctx)
	if err != nil {
		return err
	}
	if _, done.Already = sign.Verify(bare(had), []sign.Trusted{{Key: &o.key.PublicKey}}); !done.Already {
		if err := a.signWhereItLies(ctx, s, o.key); err != nil {
			return err
		}
	}
	if asJSON {
		return a.printJSON(done)
	}
	return a.print(func(p *printer) { p.signed(s, done) })
}

// signWhereItLies adds a signature of s to the layout or repository s is in.
func (a *app) signWhereItLies(ctx context.Context, s *source, key *ecdsa.PrivateKey) (err error) {
	if s.remote != nil {
		blobs := inMemory{}
		desc, err := packSignature(ctx, blobs, s.desc, s.Config, key)
		if err == nil {
			_, err = s.remote.Push(ctx, blobs, desc, "", nil)
		}
		return err
	}
	w, err := layout.Create(s.place.Path, layout.Options{})
	if err != nil {
		return hint(err, "an image, or volumes, are read-only: sign it where it was exported to, and copy it again")
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	referrer, err := packSignature(ctx, w, s.desc, s.Config, key)
	if err == nil {
		err = w.Commit(ctx, referrer)
	}
	if err != nil {
		return err
	}
	tags, err := s.tags(ctx)
	if err != nil {
		return err
	}
	return a.placeBeside(ctx, w, s.place.Path, s.desc, tags)
}

// packSignature pushes a signature and the manifest that ties it to desc.
func packSignature(ctx context.Context, to pusher, desc ocispec.Descriptor, c artifact.Config, key *ecdsa.PrivateKey) (ocispec.Descriptor, error) {
	b, err := sign.Sign(key, desc.Digest)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("signature: %w", err)
	}
	return packReferrer(ctx, to, desc, sign.TypeBundle, "signature", b, c)
}

func (p *printer) signed(s *source, done signed) {
	p.line("%s", s.Config.Title())
	p.line("  digest  %s", done.Digest)
	if done.Already {
		p.line("  signed  before, with this key: %s", done.Key)
	} else {
		p.line("  signed  with the key %s", done.Key)
	}
	p.line("\nWho takes it checks it with the public key: xcrate import SRC --key FILE")
}

// packReferrer pushes content and the manifest that ties it to desc.
func packReferrer(ctx context.Context, to pusher, desc ocispec.Descriptor, mediaType, title string, b []byte, c artifact.Config) (ocispec.Descriptor, error) {
	blob := content.NewDescriptorFromBytes(mediaType, b)
	if err := to.Push(ctx, blob, bytes.NewReader(b)); err != nil {
		return ocispec.Descriptor{}, err
	}
	return artifact.PackReferrer(ctx, to, desc, blob, title, c.Created)
}
