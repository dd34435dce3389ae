package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/sign"
)

// trustDir has the public keys of those whose snapshots this machine takes, one a file.
const trustDir = "/etc/xcrate/trusted.d"

// trustOptions say whose snapshots are taken.
type trustOptions struct {
	keys     []string
	unsigned bool
}

func (o *trustOptions) flags(f *pflag.FlagSet) {
	f.StringArrayVar(&o.keys, "key", nil, "take only what is signed with the public key in\n`FILE` (repeatable; default: those in\n/etc/xcrate/trusted.d)")
	f.BoolVar(&o.unsigned, "allow-unsigned", false, "take what nobody vouches for")
}

// maxPublicKey is how large a file of public keys may be, in bytes.
const maxPublicKey = 1 << 20

// trusted lists the keys that count: those that were named, or else this machine's. A file
// that cannot be read is an error: it may be the one that counts.
func (a *app) trusted(named []string) ([]sign.Trusted, error) {
	files := named
	if len(files) == 0 {
		var err error
		if files, err = a.trustFiles(); err != nil {
			return nil, err
		}
	}
	var all []sign.Trusted
	for _, file := range files {
		b, err := readFile(file, maxPublicKey)
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", file, err)
		}
		keys, err := sign.ParsePublic(b)
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", file, err)
		}
		for _, k := range keys {
			all = append(all, sign.Trusted{Key: k, From: file})
		}
	}
	return all, nil
}

// errOthers says that somebody else decides which keys are trusted.
var errOthers = errors.New("others can write to it")

// trustFiles lists the files of the directory of trusted keys.
func (a *app) trustFiles() (files []string, err error) {
	root, err := host.OpenRoot("/")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	dir, err := filepath.Abs(a.trustDir)
	if err != nil {
		return nil, err
	}
	st, err := root.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	if err == nil {
		names, err = root.Names(dir)
	}
	if err == nil && (st.Perm()&0o022 != 0 || st.Uid != 0 && int(st.Uid) != os.Geteuid()) {
		err = hint(errOthers, "chown root %s && chmod go-w %s", dir, dir)
	}
	if err != nil {
		return nil, fmt.Errorf("trusted keys: %s: %w", dir, err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".pem") {
			files = append(files, filepath.Join(dir, name))
		}
	}
	return files, nil
}

// errUntrusted is wrapped when the policy of this machine refuses a snapshot.
var errUntrusted = errors.New("refused")

// policy decides whether s may be looked into at all. Of s nothing was read but the index
// and what its entries say; and nothing is, but for signatures, before it has passed.
// asking says that whoever sits there is to say yes where no key can.
func (a *app) policy(ctx context.Context, s *source, o trustOptions, asking, yes bool) error {
	if len(o.keys) > 0 && o.unsigned {
		return usage(errors.New("--key with --allow-unsigned"), "leave one out")
	}
	if err := notBeside(s, o.keys); err != nil {
		return err
	}
	keys, err := a.trusted(o.keys)
	if err != nil {
		return err
	}
	if len(keys) == 0 {
		return a.unsignedPolicy(ctx, s, o, asking, yes)
	}
	found, err := s.signatures(ctx)
	if err != nil {
		return err
	}
	if by, ok := sign.Verify(bare(found), keys); ok {
		a.note("snapshot %s: signed with the key in %s, %s", s.desc.Digest, by.From, sign.Fingerprint(by.Key))
		return nil
	}
	why := "not signed"
	if len(found) > 0 {
		why = "signed, but with no key that is trusted here: " + strings.Join(hints(found), ", ")
	}
	advice := "trusted are the keys in " + a.trustDir + "; another one: --key FILE"
	if len(o.keys) > 0 {
		advice = "have it signed by the owner of the key, or give the key of who signed it"
	}
	return hint(fmt.Errorf("snapshot %s: %s: %w", s.desc.Digest, why, errUntrusted), "%s", advice)
}

const unsignedQuestion = `Nobody vouches for this snapshot: no key is trusted on this machine.

  %s

Is that the digest you were told by whoever took it?`

// unsignedPolicy is the policy where no key is trusted.
func (a *app) unsignedPolicy(ctx context.Context, s *source, o trustOptions, asking, yes bool) error {
	if o.unsigned || !asking {
		return nil
	}
	if yes || !a.canAsk() {
		return usage(fmt.Errorf("snapshot %s: nobody vouches for it: no key is trusted here", s.desc.Digest),
			"give the public key of who signed it: --key FILE\n        or, if you know where it comes from: --allow-unsigned")
	}
	ok, err := a.ask(ctx, fmt.Sprintf(unsignedQuestion, s.desc.Digest))
	if err == nil && !ok {
		err = exit(exitOK)
	}
	return err
}

// bare are the signatures alone.
func bare(all []signature) []sign.Signature {
	list := make([]sign.Signature, 0, len(all))
	for _, s := range all {
		list = append(list, s.Signature)
	}
	return list
}

// hints are the keys that signatures say they are of.
func hints(all []signature) []string {
	var list []string
	for _, s := range all {
		if s.Hint == "" {
			list = append(list, "a key without a name")
			continue
		}
		list = append(list, fmt.Sprintf("%.64q", s.Hint))
	}
	return list
}

// notBeside refuses keys that lie with the snapshot: whoever forges one forges the other.
func notBeside(s *source, files []string) error {
	for _, file := range files {
		if s.liesBeside(file) {
			return usage(fmt.Errorf("key %s: lies with the snapshot, and proves nothing", file),
				"whoever forges a snapshot puts his own key beside it: get the key another way")
		}
	}
	return nil
}

// liesBeside reports whether a file is in the layout of s, or on the same medium.
func (s *source) liesBeside(file string) bool {
	if s.layout == nil {
		return false
	}
	dir, err := filepath.Abs(s.place.Path)
	if err != nil {
		return false
	}
	if abs, err := filepath.Abs(file); err == nil && strings.HasPrefix(abs, dir+"/") {
		return true
	}
	var medium, key, system unix.Stat_t
	if unix.Stat(dir, &medium) != nil || unix.Stat(file, &key) != nil || unix.Stat("/", &system) != nil {
		return false
	}
	// On a disk of the machine both may lie. What is mounted where the layout begins is a medium.
	return medium.Dev == key.Dev && medium.Dev != system.Dev && isMount(dir, medium.Dev)
}

// isMount reports whether a filesystem with number dev begins at dir, or right above it.
func isMount(dir string, dev uint64) bool {
	for range 2 {
		dir = filepath.Dir(dir)
		var above unix.Stat_t
		if unix.Stat(dir, &above) != nil || above.Dev != dev {
			return true
		}
	}
	return false
}
