package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/layout"
)

func newVerify(a *app) *cobra.Command {
	var asJSON bool
	var o sourceOptions
	var opening openOptions
	var keys []string
	cmd := &cobra.Command{
		Use:   "verify SRC",
		Short: "Check every blob and every file of a snapshot",
		Long: `Check every blob and every file of a snapshot. Of several volumes those that are
here are checked, and the others are named. What is sealed is compared with its
digests; with --identity it is opened, and looked into as well. With --key it
must be signed with one of the keys.`,
		Example: `  xcrate verify /media/usb
  xcrate verify /media/usb:before-upgrade
  xcrate verify mn.iso
  xcrate verify /media/usb@sha256:5891b5b5...`,
		Args: args("SRC"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runVerify(cmd.Context(), a, args[0], o, opening, keys, asJSON)
		},
	}
	opening.flags(cmd.Flags())
	cmd.Flags().StringArrayVar(&keys, "key", nil, "it must be signed with the public key in `FILE`\n(repeatable)")
	o.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	return cmd
}

func runVerify(ctx context.Context, a *app, text string, o sourceOptions, opening openOptions, keys []string, asJSON bool) (err error) {
	s, err := a.openSnapshot(ctx, text, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	from, err := a.origin(ctx, s, keys)
	if err != nil {
		return err
	}
	if opening.given() {
		if err := a.unseal(ctx, s, opening, artifact.Kind.HasEntries); err != nil {
			return err
		}
	}
	v, err := a.verify(ctx, s)
	if err != nil {
		return err
	}
	v.origin = from
	if asJSON {
		err = a.printJSON(v.document(s))
	} else {
		err = a.print(func(p *printer) { p.verified(s, v) })
	}
	switch {
	case err != nil:
		return err
	case v.damaged(), len(keys) > 0 && !from.Proven:
		return exit(exitCorrupt)
	case v.partial() || len(v.programs) > 0 || from.Beside:
		return exit(exitWarnings)
	}
	return nil
}

// verdict is what a verification found.
type verdict struct {
	volumes []layout.VolumeReport // nil for a snapshot in one place
	report  artifact.Report       // zero if not all volumes are here
	origin  origin
	// programs are where programs lie beside it that are not the one they should be.
	programs []string
}

// verify reads all there is of s. The structure can be told only of the whole.
func (a *app) verify(ctx context.Context, s *source) (v verdict, err error) {
	p := a.progress()
	defer p.Done()
	if s.layout != nil && s.layout.Volumes() != nil {
		p.Phase("verifying volumes", s.layout.VolumesSize())
		if v.volumes, err = s.layout.VerifyVolumes(ctx, p); err != nil || v.partial() {
			return v, err
		}
	}
	p.Phase("verifying", s.Size())
	if v.report, err = artifact.Verify(ctx, &counted{Fetcher: s, to: p}, s.Snapshot); err == nil && s.layout != nil {
		v.programs, err = s.wrongPrograms(ctx)
	}
	return v, err
}

func (v verdict) damaged() bool {
	for _, one := range v.volumes {
		if len(one.Problems) > 0 {
			return true
		}
	}
	return len(v.report.Problems) > 0
}

// problems lists all that is wrong.
func (v verdict) problems() []error {
	var all []error
	for _, one := range v.volumes {
		all = append(all, one.Problems...)
	}
	for _, one := range v.report.Problems {
		all = append(all, one)
	}
	return all
}

// partial reports whether a volume is not here.
func (v verdict) partial() bool {
	for _, one := range v.volumes {
		if one.Path == "" {
			return true
		}
	}
	return false
}
