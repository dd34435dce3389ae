package main

import (
	"fmt"
	"path/filepath"
	"sync"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/cache"
)

// resumed is what an export that did not end got done, and what this one does. Parts
// that are the same are not written again, only compared.
type resumed struct {
	app   *app
	parts *cache.Parts
	told  sync.Once
}

func (a *app) resumed(dir, root, dest string) *resumed {
	if abs, err := filepath.Abs(dest); err == nil {
		dest = abs
	}
	parts, err := cache.LoadParts(dir, root, dest)
	if err != nil {
		a.note("%v: nothing is known of an export that did not end", err)
	}
	return &resumed{app: a, parts: parts}
}

func partName(k artifact.Kind, n int) string { return fmt.Sprintf("%s/%d", k, n) }

func (r *resumed) like(k artifact.Kind, n int) ocispec.Descriptor {
	p := r.parts.Had(partName(k, n))
	return ocispec.Descriptor{Digest: p.Digest, Size: p.Size}
}

func (r *resumed) written(k artifact.Kind, n int, desc ocispec.Descriptor) {
	if err := r.parts.Add(partName(k, n), cache.Part{Digest: desc.Digest, Size: desc.Size}); err != nil {
		r.told.Do(func() { r.app.note("%v: if this export does not end, the next one begins anew", err) })
	}
}

func (r *resumed) end() {
	if err := r.parts.End(); err != nil {
		r.app.note("%v", err)
	}
}
