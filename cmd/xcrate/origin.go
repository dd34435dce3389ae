package main

import (
	"context"

	"github.com/xcrate/xcrate/internal/sign"
)

// origin is what the signatures of a snapshot say.
type origin struct {
	// Proven says that a key which counts made one of them, KeyFile which, and Key its
	// fingerprint.
	Proven  bool   `json:"proven"`
	KeyFile string `json:"key_file,omitempty"`
	Key     string `json:"key,omitempty"`
	// Failed says that a key was named, and none of them is of it.
	Failed bool `json:"failed,omitempty"`
	// Claims are the keys that the signatures say they are of. It proves nothing.
	Claims []string `json:"claims"`
	// Beside says that the key lies with the snapshot, which proves nothing either.
	Beside bool `json:"key_lies_with_snapshot,omitempty"`
	// Uncovered are programs and scripts beside it that belong to another snapshot.
	Uncovered []string `json:"uncovered,omitempty"`
}

// origin finds out who signed s, by the keys that are named or else by those that this
// machine trusts.
func (a *app) origin(ctx context.Context, s *source, named []string) (origin, error) {
	keys, err := a.trusted(named)
	if err != nil {
		return origin{}, err
	}
	found, err := s.signatures(ctx)
	if err != nil {
		return origin{}, err
	}
	o := origin{Claims: append([]string{}, hints(found)...), Failed: len(named) > 0}
	if by, ok := sign.Verify(bare(found), keys); ok {
		o.Proven, o.KeyFile, o.Key, o.Failed = true, by.From, sign.Fingerprint(by.Key), false
		o.Beside = s.liesBeside(by.From)
		if s.layout != nil {
			o.Uncovered, err = s.uncovered(ctx)
		}
	}
	return o, err
}

// origin prints what signatures say.
func (p *printer) origin(o origin) {
	switch {
	case o.Beside:
		p.line("  signed  with the key in %s,", o.KeyFile)
		p.line("          which lies with the snapshot and so proves nothing of who wrote it:")
		p.line("          whoever forges a snapshot puts his own key beside it")
	case o.Proven:
		p.line("  signed  with the key in %s", o.KeyFile)
		p.line("          %s", o.Key)
		for _, name := range o.Uncovered {
			p.line("          not covered: %s, of another snapshot there", escape(name))
		}
	case o.Failed && len(o.Claims) == 0:
		p.line("  FAILED  it is not signed")
	case o.Failed:
		p.line("  FAILED  it is not signed with that key, but, as it says, with")
	case len(o.Claims) > 0:
		p.line("  signed  as it says; nobody here vouches for the key (--key FILE)")
	}
	if !o.Proven {
		for _, key := range o.Claims {
			p.line("          %s", key)
		}
	}
}
