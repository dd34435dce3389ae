package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/xcrate/xcrate/artifact"
)

func newVerify(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify SRC",
		Short: "Check every byte of a snapshot",
		Long: `Read every blob of a snapshot and compare size and digest, the structure of
every layer, and every file with the catalog. Nothing is written.`,
		Example: `  xcrate verify /media/usb
  xcrate verify /media/usb:before-upgrade
  xcrate verify /media/usb@sha256:5891b5b5...`,
		Args: args("SRC"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runVerify(cmd.Context(), a, args[0], asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	return cmd
}

func runVerify(ctx context.Context, a *app, text string, asJSON bool) (err error) {
	s, err := openSnapshot(ctx, text)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	p := a.progress()
	p.Phase("verifying", s.Size())
	report, err := artifact.Verify(ctx, counted{s.Layout, p}, s.Snapshot)
	p.Done()
	if err != nil {
		return err
	}
	if asJSON {
		err = a.printJSON(verified(s, report))
	} else {
		err = a.print(func(p *printer) { p.verified(s, report) })
	}
	if err == nil && len(report.Problems) > 0 {
		return exit(exitCorrupt)
	}
	return err
}
