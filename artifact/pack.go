package artifact

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"
)

// LayerDescriptor returns desc as the descriptor of part number part of parts
// of kind k, as a manifest lists it.
func LayerDescriptor(desc ocispec.Descriptor, k Kind, part, parts int) ocispec.Descriptor {
	desc.Annotations = map[string]string{
		AnnotationKind: string(k),
		AnnotationPart: fmt.Sprintf("%d/%d", part, parts),
	}
	return desc
}

// layerPart reads what LayerDescriptor wrote.
func layerPart(desc ocispec.Descriptor) (k Kind, part, parts int, err error) {
	if k, err = ParseKind(desc.Annotations[AnnotationKind]); err != nil {
		return "", 0, 0, fmt.Errorf("layer %s: %w", desc.Digest, err)
	}
	at, of, ok := strings.Cut(desc.Annotations[AnnotationPart], "/")
	part, err1 := strconv.Atoi(at)
	parts, err2 := strconv.Atoi(of)
	if !ok || err1 != nil || err2 != nil || part < 1 || part > parts {
		return "", 0, 0, fmt.Errorf("layer %s: part %q", desc.Digest, desc.Annotations[AnnotationPart])
	}
	return k, part, parts, nil
}

// Pack pushes the config and the manifest that ties layers together, and
// returns the manifest's descriptor as an index lists it: with artifactType
// and platform. Same config and layers, same digest.
func Pack(ctx context.Context, to content.Pusher, c Config, layers []ocispec.Descriptor) (ocispec.Descriptor, error) {
	if err := c.Validate(); err != nil {
		return ocispec.Descriptor{}, err
	}
	doc, err := json.MarshalIndent(c, "", " ")
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("config: %w", err)
	}
	config := content.NewDescriptorFromBytes(TypeConfig, doc)
	if err := to.Push(ctx, config, bytes.NewReader(doc)); err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("config: %w", err)
	}
	layers = slices.Clone(layers)
	slices.SortStableFunc(layers, func(a, b ocispec.Descriptor) int {
		ka, pa, _, _ := layerPart(a)
		kb, pb, _, _ := layerPart(b)
		if ka != kb {
			return ka.rank() - kb.rank()
		}
		return pa - pb
	})
	desc, err := oras.PackManifest(ctx, to, oras.PackManifestVersion1_1, TypeSnapshot, oras.PackManifestOptions{
		ConfigDescriptor:    &config,
		Layers:              layers,
		ManifestAnnotations: c.annotations(),
	})
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("manifest: %w", err)
	}
	desc.ArtifactType = TypeSnapshot
	desc.Platform = c.Platform()
	return desc, nil
}

func (c Config) annotations() map[string]string {
	return map[string]string{
		ocispec.AnnotationCreated: c.Created.UTC().Format(time.RFC3339),
		ocispec.AnnotationTitle:   c.Title(),
		AnnotationFormat:          strconv.Itoa(c.Format),
		AnnotationDistro:          c.Host.Distro.ID,
		AnnotationDistroVersion:   c.Host.Distro.Version,
		AnnotationArch:            c.Host.Arch,
		AnnotationStack:           c.Stack.Name,
		AnnotationStackVersion:    c.Stack.Version,
		AnnotationHost:            c.Host.Name,
	}
}

// Title is the snapshot in one line for people.
func (c Config) Title() string {
	stack := c.Stack.Name
	if stack == "xcat" {
		stack = "xCAT"
	}
	if c.Stack.Version != "" {
		stack += " " + c.Stack.Version
	}
	distro := strings.TrimSpace(c.Host.Distro.ID + " " + c.Host.Distro.Version)
	return fmt.Sprintf("%s management node %s (%s, %s)", stack, c.Host.Name, distro, c.Host.Arch)
}

// goArch maps what rpm and uname call an architecture to what OCI does
// (image-spec "Image Index", platform.architecture: GOARCH).
var goArch = map[string]string{
	"x86_64": "amd64", "aarch64": "arm64", "ppc64le": "ppc64le", "ppc64": "ppc64", "i686": "386", "s390x": "s390x", "riscv64": "riscv64",
}

// Platform is where the snapshot came from, as an index says it.
func (c Config) Platform() *ocispec.Platform {
	arch := goArch[c.Host.Arch]
	if arch == "" {
		arch = c.Host.Arch
	}
	return &ocispec.Platform{OS: "linux", Architecture: arch, OSVersion: c.Host.Distro.Version}
}
