package main

import (
	"context"
	"errors"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/layout"
)

func newList(a *app) *cobra.Command {
	var asJSON bool
	var o sourceOptions
	cmd := &cobra.Command{
		Use:     "list PLACE",
		Short:   "List the snapshots in a layout",
		Example: `  xcrate list /media/usb`,
		Args:    args("PLACE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runList(cmd.Context(), a, args[0], o, asJSON)
		},
	}
	o.flags(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the list as JSON")
	return cmd
}

// listed is one line of a list.
type listed struct {
	Tags    []string  `json:"tags"`
	Digest  string    `json:"digest"`
	Created time.Time `json:"created"`
	Host    string    `json:"host"`
	Distro  string    `json:"distro"`
	Arch    string    `json:"arch"`
	Stack   string    `json:"stack"`
	Size    int64     `json:"size"`
	// Problem says why the rest is not known: a damaged or foreign artifact.
	Problem string `json:"problem,omitempty"`
}

func runList(ctx context.Context, a *app, place string, o sourceOptions, asJSON bool) (err error) {
	l, err := layout.Open(place, o.volumes...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	all, err := l.Snapshots(ctx)
	if err != nil {
		return err
	}
	list := make([]listed, 0, len(all))
	for _, s := range all {
		list = append(list, describe(ctx, l, s.Descriptor, s.Tags))
	}
	if asJSON {
		return a.printJSON(list)
	}
	return a.print(func(p *printer) { p.listed(place, list) })
}

func describe(ctx context.Context, l *layout.Layout, desc ocispec.Descriptor, tags []string) listed {
	line := listed{Tags: tags, Digest: desc.Digest.String()}
	s, err := artifact.Load(ctx, l, desc)
	if err != nil {
		line.Problem = err.Error()
		return line
	}
	h := s.Config.Host
	line.Created, line.Host, line.Arch, line.Size = s.Config.Created, h.Name, h.Arch, s.Size()
	line.Distro, line.Stack = h.Distro.ID+" "+h.Distro.Version, s.Config.Stack.Name+" "+s.Config.Stack.Version
	return line
}
