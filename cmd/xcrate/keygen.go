package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"github.com/xcrate/xcrate/internal/sign"
)

type keygenOptions struct {
	passphraseFD string
	open         bool
	json         bool
}

func newKeygen(a *app) *cobra.Command {
	var o keygenOptions
	cmd := &cobra.Command{
		Use:   "keygen NAME",
		Short: "Make a key pair to sign snapshots with",
		Long: `Make a key pair to sign snapshots with: NAME.key, the private key, protected by a
passphrase, and NAME.pem, the public key. Whoever is to take your snapshots puts
NAME.pem into /etc/xcrate/trusted.d, and gets it from you another way than the
snapshots.`,
		Example: `  xcrate keygen vendor
  xcrate export /media/usb --sign vendor.key
  xcrate import /media/usb --key vendor.pem`,
		Args: args("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error { return runKeygen(cmd.Context(), a, args[0], o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.passphraseFD, passphraseFlag, "", "read the passphrase from descriptor `N`")
	f.BoolVar(&o.open, "no-passphrase", false, "leave the private key open to whoever reads it")
	f.BoolVar(&o.json, "json", false, "print the result as JSON")
	return cmd
}

// generated is what keygen prints as JSON.
type generated struct {
	Private string `json:"private"`
	Public  string `json:"public"`
	Key     string `json:"key"` // fingerprint
}

func runKeygen(ctx context.Context, a *app, name string, o keygenOptions) error {
	name = strings.TrimSuffix(name, ".key")
	passphrase, err := o.passphrase(ctx, a)
	if err != nil {
		return err
	}
	key, err := sign.NewKey()
	if err != nil {
		return err
	}
	private, err := sign.MarshalPrivate(key, passphrase)
	if err != nil {
		return err
	}
	public, err := sign.MarshalPublic(&key.PublicKey)
	if err != nil {
		return err
	}
	done := generated{Private: name + ".key", Public: name + ".pem", Key: sign.Fingerprint(&key.PublicKey)}
	// The public one first: a name that is taken by either leaves no half of a pair.
	err = writeNew(done.Public, public)
	if err == nil {
		if err = writeNew(done.Private, private); err != nil {
			err = errors.Join(err, removeFile(done.Public))
		}
	}
	if errors.Is(err, fs.ErrExist) {
		return hint(err, "a key that is replaced is lost for good: choose another name")
	}
	if err != nil {
		return err
	}
	if o.json {
		return a.printJSON(done)
	}
	return a.print(func(p *printer) {
		p.line("  private  %s: keep it, and tell nobody", done.Private)
		p.line("  public   %s: for /etc/xcrate/trusted.d of who takes your snapshots", done.Public)
		p.line("  key      %s: read this out by phone to compare", done.Key)
	})
}

func (o *keygenOptions) passphrase(ctx context.Context, a *app) (string, error) {
	switch {
	case o.open && o.passphraseFD != "":
		return "", usage(errors.New("--no-passphrase with --passphrase-fd"), "leave one out")
	case o.open:
		return "", nil
	case o.passphraseFD != "":
		return a.readPassphrase(o.passphraseFD)
	}
	text, err := a.newPassphrase(ctx, "Passphrase of the key: ")
	if errors.Is(err, errNobody) {
		return "", usage(err, "give the passphrase on a descriptor: --passphrase-fd 3 3< FILE\n        or leave the key open: --no-passphrase")
	}
	return text, err
}

// removeFile removes a file of this machine that was just made.
func removeFile(file string) error {
	root, d, name, err := parentOf(file)
	if err != nil {
		return err
	}
	return errors.Join(d.Remove(name), d.Close(), root.Close())
}

// writeNew makes a durable file that its owner alone can read, and that must not be there.
func writeNew(file string, content []byte) (err error) {
	root, d, name, err := parentOf(file)
	if err != nil {
		return fmt.Errorf("file %s: %w", file, err)
	}
	defer func() { err = errors.Join(err, d.Close(), root.Close()) }()
	f, err := d.Create(name)
	if err != nil {
		return fmt.Errorf("file %s: %w", file, err)
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close(), d.Sync()); err != nil {
		return fmt.Errorf("file %s: %w", file, err)
	}
	return nil
}
