package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/pflag"
	"oras.land/oras-go/v2/content"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/seal"
	"github.com/xcrate/xcrate/layout"
)

// openOptions say with what sealed contents are opened.
type openOptions struct {
	identities   []string // files
	passphraseFD string
}

func (o *openOptions) flags(f *pflag.FlagSet) {
	f.StringArrayVar(&o.identities, "identity", nil, "open what is sealed with the private key in\n`FILE`, of age or ssh (repeatable)")
	f.StringVar(&o.passphraseFD, passphraseFlag, "", "read the passphrase from descriptor `N`")
}

func (o *openOptions) names() []string { return []string{"identity", passphraseFlag} }

// given reports whether somebody said with what to open.
func (o *openOptions) given() bool { return len(o.identities) > 0 || o.passphraseFD != "" }

// maxIdentity is how large a file of private keys may be, in bytes.
const maxIdentity = 1 << 20

// hostKeys are the private keys of a machine, to which a snapshot for it may be sealed
// without any exchange of keys.
func hostKeys() []string {
	return []string{"/etc/ssh/ssh_host_ed25519_key", "/etc/ssh/ssh_host_rsa_key"}
}

// unseal makes s readable, of which the given kinds are needed. Whether it can be is
// found out before anything else is done with it.
func (a *app) unseal(ctx context.Context, s *source, o openOptions, needed func(artifact.Kind) bool) error {
	secrets := s.Config.Secrets
	if secrets == nil || !slices.ContainsFunc(secrets.Kinds, needed) {
		return nil
	}
	ids, err := a.identities(ctx, o, secrets)
	if err != nil {
		return err
	}
	key, err := ids.Open(secrets.Envelopes)
	switch {
	case errors.Is(err, seal.ErrNoKey):
		return hint(fmt.Errorf("snapshot is sealed to %s: %w", strings.Join(secrets.Recipients, ", "), err), "%s", wayIn(secrets))
	case err != nil:
		return hint(fmt.Errorf("snapshot: %w", err), "it is sealed to %s", strings.Join(secrets.Recipients, ", "))
	}
	return s.open(key)
}

// open makes s readable with key.
func (s *source) open(key *seal.Key) error {
	from, opened, err := key.Unseal(s.Source, s.Snapshot)
	if err != nil {
		return fmt.Errorf("%w: %w", layout.ErrCorrupt, err)
	}
	s.Source, s.Snapshot, s.key = &unsealed{s.Source, from}, opened, key
	return nil
}

// wayIn is what to type to open a snapshot.
func wayIn(s *artifact.Secrets) string {
	var ways []string
	for _, e := range s.Envelopes {
		switch e.To {
		case artifact.EnvelopeKeys:
			ways = append(ways, "give the private key of one of them: --identity FILE")
		case artifact.EnvelopePassphrase:
			ways = append(ways, "give the passphrase on a descriptor: --passphrase-fd 3 3< FILE")
		}
	}
	return strings.Join(ways, "\n        ")
}

// unsealed is a source whose blobs are opened.
type unsealed struct {
	layout.Source
	from content.Fetcher
}

// Fetch implements content.Fetcher.
func (u *unsealed) Fetch(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	return u.from.Fetch(ctx, desc)
}

// identities gathers the keys at hand: those that were named, and this machine's own.
func (a *app) identities(ctx context.Context, o openOptions, s *artifact.Secrets) (*seal.Identities, error) {
	ids := &seal.Identities{}
	for _, file := range o.identities {
		b, err := readFile(file, maxIdentity)
		if err == nil {
			err = ids.AddFile(file, b, func(what string) (string, error) {
				text, err := a.askSecret(ctx, "Passphrase of "+what+": ")
				if errors.Is(err, errNobody) {
					err = fmt.Errorf("protected by a passphrase: %w", err)
				}
				return text, err
			})
		}
		if err != nil {
			return nil, fmt.Errorf("identity %s: %w", file, err)
		}
	}
	for _, file := range a.hostKeys {
		b, err := readFile(file, maxIdentity)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			continue
		}
		if err == nil {
			err = ids.AddFile(file, b, func(string) (string, error) { return "", errNobody })
		}
		if err != nil {
			a.note("host key %s: %v: not tried", file, err)
		}
	}
	ids.Passphrase = func() (string, error) { return a.passphraseOf(ctx, o, s) }
	return ids, nil
}

// passphraseOf gets the passphrase of a snapshot; "" if nobody can be asked.
func (a *app) passphraseOf(ctx context.Context, o openOptions, s *artifact.Secrets) (string, error) {
	if o.passphraseFD != "" {
		return a.readPassphrase(o.passphraseFD)
	}
	text, err := a.askSecret(ctx, fmt.Sprintf("Passphrase of the snapshot (sealed to %s): ", escape(strings.Join(s.Recipients, ", "))))
	if errors.Is(err, errNobody) {
		return "", nil
	}
	return text, err
}
