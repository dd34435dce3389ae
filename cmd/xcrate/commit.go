package main

import (
	"context"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/hooks"
	"github.com/xcrate/xcrate/internal/sign"
	"github.com/xcrate/xcrate/layers"
	"github.com/xcrate/xcrate/layout"
)

// exported is what an export wrote.
type exported struct {
	Place    string          `json:"place"`
	Tags     []string        `json:"tags"`
	Digest   string          `json:"digest"`
	Snapshot artifact.Config `json:"config"`
	Layers   int             `json:"layers"`
	// Places are where packages were found.
	Places []layers.Place `json:"places"`
	// Reused counts the layers whose files were not read, and their bytes.
	Reused      int   `json:"reused_layers"`
	ReusedBytes int64 `json:"reused_bytes"`
	// Signed is the fingerprint of the key it is signed with.
	Signed string `json:"signed,omitempty"`
	// Tool is the size of the program that goes along, in bytes; 0 for none.
	Tool int64 `json:"tool_bytes"`
	// Volumes are the images or directories, where it went to such.
	Volumes []layout.Packed `json:"volumes,omitempty"`
	// Hooks are what was run before and after.
	Hooks []hooks.Result `json:"hooks"`

	desc ocispec.Descriptor
}

// commit ties what was captured together and lists it in the layout.
func (a *app) commit(ctx context.Context, w *layout.Writer, c *layers.Captured, dest string, o exportOptions) (*exported, error) {
	tool, built, err := a.addTool(ctx, w, c.Config.Host.Arch, o.tool)
	if err != nil {
		return nil, err
	}
	if c.Config.Beside, err = scriptFor(c.Config.Host.Arch, tool); err != nil {
		return nil, err
	}
	all := append(c.Layers, tool...)
	desc, err := artifact.Pack(ctx, w, c.Config, all)
	if err != nil {
		return nil, err
	}
	tags := []string{o.tag, "latest"}
	if o.tag == "" {
		tags[0] = defaultTag(c.Config)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	referrers, err := packSBOMs(ctx, w, desc, c.Config, built)
	if err != nil {
		return nil, err
	}
	signed := ""
	if o.sign.key != nil {
		signature, err := packSignature(ctx, w, desc, c.Config, o.sign.key)
		if err != nil {
			return nil, err
		}
		signed, referrers = sign.Fingerprint(&o.sign.key.PublicKey), append(referrers, signature)
	}
	if err := w.CommitWith(ctx, referrers, desc, tags...); err != nil {
		return nil, err
	}
	var size int64
	for _, one := range tool {
		size = one.Size
	}
	return &exported{
		Signed: signed, Tool: size,
		Place: dest, Tags: tags, Digest: desc.Digest.String(), Snapshot: c.Config,
		Layers: len(all), Places: append([]layers.Place{}, c.Places...), Reused: c.Reused, ReusedBytes: c.ReusedBytes, desc: desc,
	}, nil
}
