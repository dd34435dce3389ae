package main

import (
	"context"
	"errors"
	"regexp"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"
	"oras.land/oras-go/v2/content"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/progress"
	"github.com/xcrate/xcrate/layout"
)

func newList(a *app) *cobra.Command {
	var asJSON bool
	var o sourceOptions
	cmd := &cobra.Command{
		Use:   "list PLACE",
		Short: "List the snapshots in a layout or a repository",
		Example: `  xcrate list /media/usb
  xcrate list registry.example/mn/cluster7`,
		Args: args("PLACE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runList(cmd.Context(), a, args[0], o, asJSON)
		},
	}
	o.flags(cmd)
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

func runList(ctx context.Context, a *app, text string, o sourceOptions, asJSON bool) error {
	p, err := parsePlace(text)
	if err != nil {
		return err
	}
	list := []listed{}
	if p.remote != nil {
		list, err = a.listRemote(ctx, p, o, list)
	} else {
		list, err = listLayout(ctx, text, o, list)
	}
	if err != nil {
		return err
	}
	if asJSON {
		return a.printJSON(list)
	}
	return a.print(func(p *printer) { p.listed(text, list) })
}

func listLayout(ctx context.Context, path string, o sourceOptions, list []listed) (_ []listed, err error) {
	l, err := layout.Open(path, o.volumes...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	all, err := l.Snapshots(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		if s.Subject != "" {
			continue // says something about another one
		}
		list = append(list, describe(ctx, l, s.Descriptor, s.Tags))
	}
	return list, nil
}

// referrersTag is a tag that stands in for a registry's list of referrers
// (distribution-spec 1.1, "Referrers Tag Schema"), or is one of cosign's.
var referrersTag = regexp.MustCompile(`^sha256-[0-9a-f]{64}(\.[a-z]+)?$`)

// listRemote lists what the tags of a repository name, each snapshot once.
func (a *app) listRemote(ctx context.Context, p place, o sourceOptions, list []listed) ([]listed, error) {
	r, err := o.open(ctx, a, *p.remote, progress.None())
	if err != nil {
		return nil, err
	}
	tags, err := r.Tags(ctx)
	if err != nil {
		return nil, err
	}
	at := map[digest.Digest]int{}
	for _, tag := range tags {
		if referrersTag.MatchString(tag) {
			continue
		}
		desc, err := r.Resolve(ctx, tag)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			list = append(list, listed{Tags: []string{tag}, Problem: err.Error()})
			continue
		}
		i, seen := at[desc.Digest]
		if !seen {
			i = len(list)
			at[desc.Digest] = i
			list = append(list, describe(ctx, r, desc, nil))
		}
		list[i].Tags = append(list[i].Tags, tag)
	}
	return list, nil
}

func describe(ctx context.Context, l content.Fetcher, desc ocispec.Descriptor, tags []string) listed {
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
