package layout

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2/errdef"
)

// What is wrong with a layout, for errors.Is. A path that is missing wraps
// fs.ErrNotExist, one that is no directory syscall.ENOTDIR.
var (
	// ErrNoLayout says that a directory has no oci-layout file.
	ErrNoLayout = errors.New("not an OCI image layout")
	// ErrVersion says that oci-layout names a version this program does not read.
	ErrVersion = errors.New("unknown imageLayoutVersion")
	// ErrIndex says that index.json or oci-layout is missing, too large or not
	// what image-spec says.
	ErrIndex = errors.New("broken")
	// ErrCorrupt says that a blob's content is not what its digest and size say.
	ErrCorrupt = errors.New("damaged")
	// ErrMissing says that a blob is not there. Such errors are
	// errdef.ErrNotFound and fs.ErrNotExist too, as oras-go's contracts ask.
	ErrMissing = errors.New("missing")
	// ErrNotFound says that no entry of index.json has the tag or digest asked
	// for. Such errors are errdef.ErrNotFound too.
	ErrNotFound = errors.New("no such snapshot")
	// ErrVolume says that a place is not the volume that is wanted, or that a
	// layout cannot be written to because it is one volume of several.
	ErrVolume = errors.New("wrong volume")
	// ErrTooSmall says that volumes have no room for the largest blob.
	ErrTooSmall = errors.New("does not fit on a volume")
	// ErrLocked says that another process writes to the layout.
	ErrLocked = errors.New("in use by another writer")
	// ErrRemote says that a reference names a repository of a registry, and no path.
	ErrRemote = errors.New("a repository of a registry")
	// ErrClosed says that a Writer was used after Close or Abort.
	ErrClosed = errors.New("writer is closed")
)

// missingError is a blob that is not where its digest says.
type missingError struct {
	digest digest.Digest
	path   string
}

func (e *missingError) Error() string {
	return fmt.Sprintf("blob %s: %v: no file %s", e.digest, ErrMissing, e.path)
}

func (e *missingError) Is(target error) bool {
	return target == ErrMissing || target == errdef.ErrNotFound || target == fs.ErrNotExist
}

// notFoundError is a tag or digest that index.json does not list.
type notFoundError struct {
	what string // `tag "v1"`
	have string // the tags there are, as a sentence part
}

func (e *notFoundError) Error() string {
	return fmt.Sprintf("%s: %v; %s", e.what, ErrNotFound, e.have)
}

func (e *notFoundError) Is(target error) bool {
	return target == ErrNotFound || target == errdef.ErrNotFound
}
