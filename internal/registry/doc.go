// Package registry sends snapshots to repositories of OCI registries and fetches them,
// over links that break.
//
// Manifests, tags and tokens are oras-go's. The bytes of blobs are moved here: an
// upload goes in chunks and goes on where the registry says it is, a download goes on
// at the byte where it broke, and both know how long to keep trying. The protocol is
// distribution-spec 1.1 ("Pushing a blob in chunks", "Pulling blobs").
package registry
