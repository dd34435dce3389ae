// Package artifact defines the snapshot format: media types, kinds, the
// config document, the catalog, and the OCI manifest that ties them together.
//
// A snapshot is one OCI image manifest (image-spec 1.1, "Image Manifest") with
// an artifactType and a config type of its own. Its layers are plain tar
// streams, most of them compressed with zstd, so that a person with nothing
// but tar and zstd can still read what is on the stick.
//
// The package knows bytes and structure only. It opens no file and no
// connection: callers hand it a content.Fetcher or a content.Pusher.
package artifact
