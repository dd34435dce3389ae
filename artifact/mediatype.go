package artifact

import (
	"fmt"
	"slices"
)

// Media types of the snapshot format, version 1. They never change meaning;
// a new format gets new names.
const (
	// TypeSnapshot is the artifactType of a snapshot's manifest.
	TypeSnapshot = "application/vnd.xcrate.snapshot.v1"
	// TypeConfig is the media type of the config document (JSON, see Config).
	TypeConfig = "application/vnd.xcrate.snapshot.config.v1+json"
	// TypeTar is a layer that is a plain tar stream (OCI image-spec, "layer").
	TypeTar = "application/vnd.oci.image.layer.v1.tar"
	// TypeTarZstd is a layer that is a tar stream compressed with zstd.
	TypeTarZstd = "application/vnd.oci.image.layer.v1.tar+zstd"
	// TypeTarZstdAge is TypeTarZstd sealed with age (age-encryption.org/v1), and
	// TypeTarAge is TypeTar sealed so. Readers that know no age name them and stop.
	TypeTarZstdAge = "application/vnd.xcrate.layer.v1.tar+zstd+age"
	TypeTarAge     = "application/vnd.xcrate.layer.v1.tar+age"
	// TypeCatalog is the zstd-compressed list of every entry of every layer.
	TypeCatalog = "application/vnd.xcrate.catalog.v1+zstd"
	// TypeTool is the static xcrate binary of the snapshot's architecture.
	TypeTool = "application/vnd.xcrate.tool.v1"
)

// FormatVersion is the number this code writes into configs and annotations.
const FormatVersion = 1

// Annotation keys. Keys below org.opencontainers are those of image-spec
// "Pre-Defined Annotation Keys"; ours live below dev.xcrate.
const (
	AnnotationFormat        = "dev.xcrate.format"         // on the manifest: "1"
	AnnotationDistro        = "dev.xcrate.distro.id"      // on the manifest: os-release ID
	AnnotationDistroVersion = "dev.xcrate.distro.version" // on the manifest: os-release VERSION_ID
	AnnotationArch          = "dev.xcrate.arch"           // on the manifest: as rpm names it, x86_64
	AnnotationStack         = "dev.xcrate.stack"          // on the manifest: "xcat"
	AnnotationStackVersion  = "dev.xcrate.stack.version"  // on the manifest: "2.17.0"
	AnnotationHost          = "dev.xcrate.host"           // on the manifest: short host name
	AnnotationKind          = "dev.xcrate.kind"           // on a layer: its Kind
	AnnotationPart          = "dev.xcrate.part"           // on a layer: "2/5", 1-based
)

// Kind says what a layer holds.
type Kind string

// The kinds, in the order in which their layers stand in a manifest.
const (
	KindPackages Kind = "packages" // the rpm or deb set, as a complete repository
	KindSecrets  Kind = "secrets"  // keys, certificates, credentials; paths relative to /
	KindConfig   Kind = "config"   // configuration files; paths relative to /
	KindOpt      Kind = "opt"      // local changes below the stack's own prefix
	KindInstall  Kind = "install"  // the install directory; paths relative to /
	KindTFTPBoot Kind = "tftpboot" // the boot directory; paths relative to /
	KindDatabase Kind = "database" // one CSV per table, and schema.json
	KindCatalog  Kind = "catalog"  // one record per entry of the layers above
	KindTool     Kind = "tool"     // the static binary
)

// Kinds lists all kinds in manifest order.
func Kinds() []Kind {
	return []Kind{
		KindPackages, KindSecrets, KindConfig, KindOpt, KindInstall,
		KindTFTPBoot, KindDatabase, KindCatalog, KindTool,
	}
}

// TreeKinds lists the kinds whose paths are relative to the host's root.
func TreeKinds() []Kind {
	return []Kind{KindSecrets, KindConfig, KindOpt, KindInstall, KindTFTPBoot}
}

// IsTree reports whether the paths of kind k are relative to the host's root.
func (k Kind) IsTree() bool {
	return slices.Contains(TreeKinds(), k)
}

// HasEntries reports whether layers of kind k are tar streams with entries in
// the catalog.
func (k Kind) HasEntries() bool { return k != KindCatalog && k != KindTool }

// rank is the place of k in manifest order, -1 for an unknown kind.
func (k Kind) rank() int { return slices.Index(Kinds(), k) }

// ParseKind returns the kind named s.
func ParseKind(s string) (Kind, error) {
	k := Kind(s)
	if k.rank() < 0 {
		return "", fmt.Errorf("kind %q: not one of %v", s, Kinds())
	}
	return k, nil
}
