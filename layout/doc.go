// Package layout keeps snapshots at rest, in an OCI image layout directory
// (image-spec 1.1, "OCI Image Layout Specification"): blobs by digest below
// blobs/sha256, the file oci-layout, and index.json, which names the manifests
// and their tags.
//
// Open reads a layout and never changes it. Create writes to one and keeps
// three promises: a snapshot is either wholly there or not at all, whatever
// stops the program; earlier snapshots stay readable; what Commit reported done
// survives a power cut. Blobs are therefore synced before they get their names,
// and index.json is replaced last, in one rename.
//
// Files other than these may lie in the directory and are left alone. While it
// is written to, the directory .xcrate-tmp holds files without their final
// names; the next Create removes what a killed writer left there.
package layout
