package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
)

func newInspect(a *app) *cobra.Command {
	var asJSON bool
	var o sourceOptions
	var list string
	cmd := &cobra.Command{
		Use:   "inspect SRC",
		Short: "Show what a snapshot holds and what was left out",
		Example: `  xcrate inspect /media/usb
  xcrate inspect /media/usb:before-upgrade --json | jq .config.packages`,
		Args: args("SRC"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runInspect(cmd.Context(), a, args[0], o, list, asJSON)
		},
	}
	o.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print manifest and config as JSON")
	cmd.Flags().StringVar(&list, "sbom", "", "print the list of `WHAT` it is made of as SPDX:\npackages, or program")
	return cmd
}

func runInspect(ctx context.Context, a *app, text string, o sourceOptions, list string, asJSON bool) (err error) {
	s, err := a.openSnapshot(ctx, text, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if list != "" {
		return a.printSBOM(ctx, s, list)
	}
	if asJSON {
		return a.printJSON(inspected(s))
	}
	return a.print(func(p *printer) { p.inspected(s) })
}
