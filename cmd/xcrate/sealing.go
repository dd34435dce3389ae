package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/pflag"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/cache"
	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/seal"
	"github.com/xcrate/xcrate/layers"
)

// sealOptions say what becomes of the secrets of a snapshot. Somebody has to decide:
// to leave them open is a choice too.
type sealOptions struct {
	to           []string
	passphrase   bool
	passphraseFD string
	what         string
	open         bool
	without      bool

	recipients *seal.Recipients // once it is decided; nil leaves secrets open
}

func (o *sealOptions) flags(f *pflag.FlagSet) {
	f.StringArrayVar(&o.to, "encrypt-to", nil, "seal keys, passwords and database to `WHO`\n(repeatable): public key of age or ssh, or a\nfile of them, as /etc/ssh/ssh_host_*_key.pub")
	f.BoolVar(&o.passphrase, "passphrase", false, "seal them to a passphrase, which is asked for")
	f.StringVar(&o.passphraseFD, passphraseFlag, "", "read the passphrase from descriptor `N`")
	f.StringVar(&o.what, "encrypt", "secrets", "seal `WHAT`: secrets, which has the database\n(default), or all")
	f.Lookup("encrypt").DefValue = ""
	f.BoolVar(&o.without, "without-secrets", false, "leave them out: for a support case, restores\nnothing")
	f.BoolVar(&o.open, "no-encrypt", false, "leave secrets open: whoever has the snapshot\nhas the cluster")
}

// maxRecipients is how large a file of public keys may be, in bytes.
const maxRecipients = 1 << 20

// kinds are those that are to be sealed.
func (o *sealOptions) kinds() []artifact.Kind {
	all := []artifact.Kind{artifact.KindSecrets, artifact.KindDatabase}
	if o.what == "all" {
		all = slices.DeleteFunc(artifact.Kinds(), func(k artifact.Kind) bool { return !k.HasEntries() })
	}
	return all
}

// decide finds out what becomes of the secrets, before anything is read. Where nobody
// said so somebody is asked.
func (o *sealOptions) decide(ctx context.Context, a *app) error {
	if o.what != "secrets" && o.what != "all" {
		return usage(fmt.Errorf("--encrypt %q", o.what), "it is secrets or all")
	}
	sealed := len(o.to) > 0 || o.passphrase || o.passphraseFD != ""
	switch {
	case o.without && (sealed || o.open || o.what == "all"):
		return usage(errors.New("--without-secrets with what becomes of secrets"), "there are none then: leave the other out")
	case o.without:
		return nil
	case sealed && o.open:
		return usage(errors.New("--no-encrypt with someone to encrypt to"), "leave one out")
	case o.open && o.what == "all":
		return usage(errors.New("--no-encrypt with --encrypt all"), "leave one out")
	case o.open:
		return nil
	case !sealed:
		return o.ask(ctx, a)
	}
	r := &seal.Recipients{}
	for _, who := range o.to {
		if err := addRecipient(r, who); err != nil {
			return err
		}
	}
	if err := o.setPassphrase(ctx, a, r); err != nil {
		return err
	}
	o.recipients = r
	return nil
}

// addRecipient adds a public key, or those in a file.
func addRecipient(r *seal.Recipients, who string) error {
	if seal.IsKey(who) {
		if err := r.Add(who); err != nil {
			return usage(fmt.Errorf("recipient %q: %w", who, err), "see: xcrate export --help")
		}
		return nil
	}
	b, err := readFile(who, maxRecipients)
	if err == nil {
		err = r.AddFile(b)
	}
	if err != nil {
		return hint(fmt.Errorf("recipients %s: %w", who, err), "a public key begins with age1, ssh-ed25519 or ssh-rsa; else it is the name of a file")
	}
	return nil
}

// setPassphrase reads the passphrase, or asks for it twice.
func (o *sealOptions) setPassphrase(ctx context.Context, a *app, r *seal.Recipients) (err error) {
	var text string
	switch {
	case o.passphraseFD != "":
		text, err = a.readPassphrase(o.passphraseFD)
	case o.passphrase:
		text, err = a.newPassphrase(ctx, snapshotPassphrase)
	default:
		return nil
	}
	if errors.Is(err, errNobody) {
		return usage(err, "give it on a descriptor: --passphrase-fd 3 3< FILE")
	}
	if err == nil {
		if err = r.SetPassphrase(text); err != nil {
			err = usage(err, "several words that have nothing to do with each other are good")
		}
	}
	return err
}

const snapshotPassphrase = "Passphrase of the snapshot: "

// newPassphrase asks for a passphrase until it was given twice.
func (a *app) newPassphrase(ctx context.Context, question string) (string, error) {
	for {
		first, err := a.askSecret(ctx, question)
		if err == nil && len(first) < seal.MinPassphrase {
			_, _ = fmt.Fprintf(a.err, "At least %d characters: who finds the medium can try for years.\n", seal.MinPassphrase)
			continue
		}
		second := ""
		if err == nil {
			second, err = a.askSecret(ctx, "Once more: ")
		}
		if err != nil {
			return "", fmt.Errorf("passphrase: %w", err)
		}
		if first == second {
			return first, nil
		}
		_, _ = fmt.Fprintln(a.err, "These are not the same.")
	}
}

const sealQuestion = `
The snapshot will hold the keys and passwords of the whole cluster.
  1  seal them with a passphrase
  2  seal them to a public key, of age or ssh
  3  leave them open: whoever has the snapshot has the cluster
Which? [1] `

// ask asks what becomes of the secrets.
func (o *sealOptions) ask(ctx context.Context, a *app) error {
	if !a.canAsk() {
		return usage(errors.New("secrets: nobody said whether to seal them"),
			"seal them: --encrypt-to KEY, or --passphrase-fd N\n        or leave keys and passwords open to whoever has the snapshot: --no-encrypt")
	}
	r := &seal.Recipients{}
	answer, err := a.askFor(ctx, sealQuestion)
	if err != nil {
		return err
	}
	switch answer {
	case "", "1":
		var text string
		if text, err = a.newPassphrase(ctx, snapshotPassphrase); err == nil {
			err = r.SetPassphrase(text)
		}
	case "2":
		var who string
		if who, err = a.askFor(ctx, "Public key, or the file it is in: "); err == nil {
			err = addRecipient(r, who)
		}
	case "3":
		o.open = true
		return nil
	default:
		return usage(fmt.Errorf("answer %q", answer), "it is 1, 2 or 3")
	}
	o.recipients = r
	return err
}

// sealing is how one export seals.
type sealing struct {
	key     *seal.Key
	how     *layers.Seal
	kept    []seal.Kept // the first is that of key
	at      cache.Sealed
	secrets artifact.Secrets
}

// sealing prepares what an export of root seals with. What the one before used is used
// again if it was for the same recipients; if it cannot be read, all is sealed anew.
func (a *app) sealing(root *host.Root, o exportOptions) (*sealing, error) {
	r := o.seal.recipients
	if o.seal.without {
		return &sealing{secrets: artifact.Secrets{State: artifact.SecretsLeftOut}}, nil
	}
	if r == nil {
		return &sealing{secrets: artifact.Secrets{State: artifact.SecretsOpen}}, nil
	}
	s := &sealing{at: cache.SealedOf(o.cache, root.Dir())}
	var before []seal.Kept
	if err := s.at.Load(&before); err != nil {
		a.note("%v: all is sealed anew", err)
		before = nil
	}
	var err error
	if s.key, s.kept, err = r.Key(before); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	digests, err := s.key.Digests()
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	s.how = &layers.Seal{Kinds: o.seal.kinds(), ID: s.key.ID(), Digests: digests, Encrypt: s.key.Encrypt}
	s.secrets = artifact.Secrets{State: artifact.SecretsSealed, Kinds: s.how.Kinds, Recipients: r.Names(), Envelopes: s.kept[0].Envelopes}
	return s, nil
}

// apply writes into config c what was done about secrets, and takes out of it what
// would give sealed ones away.
func (s *sealing) apply(c *artifact.Config) (err error) {
	secrets := s.secrets
	c.Secrets = &secrets
	if s.key == nil {
		return nil
	}
	// A kind of which the host has nothing has no layers.
	secrets.Kinds = slices.DeleteFunc(slices.Clone(secrets.Kinds), func(k artifact.Kind) bool { _, has := c.Kind(k); return !has })
	if secrets.Facts, err = s.key.SealFacts(c.SealFacts()); err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	return nil
}

// remember keeps for the next export what this one sealed with.
func (s *sealing) remember(a *app) {
	if s.key == nil {
		return
	}
	if err := s.at.Save(s.kept); err != nil {
		a.note("%v: the next export seals all anew", err)
	}
}
