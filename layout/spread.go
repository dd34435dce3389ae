package layout

import (
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/xcrate/xcrate/artifact"
)

// What a file takes on a disc besides its bytes: it ends at a sector, and has a
// record in each of the two directory trees that an image holds.
const (
	sectorSize  = 2048
	recordsSize = 512
	// imageSize is what an image needs whatever is in it: descriptors, path tables,
	// and the padding at its end.
	imageSize = 1 << 20
)

func discSize(n int64) int64 { return (n+sectorSize-1)/sectorSize*sectorSize + recordsSize }

// onEvery reports whether blob d of snapshot m is on every volume: what has to be
// read before anything is asked for.
func onEvery(manifest digest.Digest, m ocispec.Manifest, d ocispec.Descriptor) bool {
	kind := artifact.Kind(d.Annotations[artifact.AnnotationKind])
	return d.Digest == manifest || d.Digest == m.Config.Digest || kind == artifact.KindCatalog || kind == artifact.KindTool
}

// spread deals the blobs of a snapshot out to volumes of at most capacity bytes,
// extra of which other files take on each, and the blobs of also besides. Blobs go in the order of the manifest to
// the first volume that has room, so that the volumes are needed in their order, and
// the same snapshot is always spread the same way.
func spread(desc ocispec.Descriptor, m ocispec.Manifest, also []ocispec.Descriptor, capacity, extra int64) (*VolumeTable, error) {
	var every, rest []ocispec.Descriptor
	base := imageSize + extra
	for _, d := range Blobs(desc, m) {
		if onEvery(desc.Digest, m, d) {
			every = append(every, d)
			base += discSize(d.Size)
		} else {
			rest = append(rest, d)
		}
	}
	for _, d := range also {
		every = append(every, d)
		base += discSize(d.Size)
	}
	var free []int64
	var volumes [][]ocispec.Descriptor
	for _, d := range rest {
		need := discSize(d.Size)
		if base+need > capacity {
			return nil, &tooSmallError{capacity: capacity, need: base + need, blob: d.Digest}
		}
		at := slices.IndexFunc(free, func(n int64) bool { return n >= need })
		if at < 0 {
			at = len(free)
			free = append(free, capacity-base)
			volumes = append(volumes, slices.Clone(every))
		}
		free[at] -= need
		volumes[at] = append(volumes[at], d)
	}
	if len(volumes) == 0 {
		if base > capacity {
			return nil, &tooSmallError{capacity: capacity, need: base, blob: desc.Digest}
		}
		volumes = append(volumes, every)
	}
	if len(volumes) > maxVolumes {
		return nil, fmt.Errorf("%d volumes of %d bytes: at most %d", len(volumes), capacity, maxVolumes)
	}
	return newTable(desc.Digest, volumes), nil
}

func newTable(snapshot digest.Digest, volumes [][]ocispec.Descriptor) *VolumeTable {
	t := &VolumeTable{Format: volumesFormat, Snapshot: snapshot}
	for i, blobs := range volumes {
		v := Volume{Label: VolumeLabel(snapshot, i+1)}
		for _, d := range blobs {
			v.Blobs = append(v.Blobs, VolumeBlob{Digest: d.Digest, Size: d.Size})
		}
		t.Volumes = append(t.Volumes, v)
	}
	return t
}

// tooSmallError is a volume on which not even one blob fits.
type tooSmallError struct {
	capacity, need int64 // in bytes
	blob           digest.Digest
}

func (e *tooSmallError) Error() string {
	return fmt.Sprintf("blob %s: %v: with what is on every volume it needs %d bytes, and there are %d", e.blob, ErrTooSmall, e.need, e.capacity)
}

func (e *tooSmallError) Is(target error) bool { return target == ErrTooSmall }

// Need is how many bytes the volume would have to have.
func (e *tooSmallError) Need() int64 { return e.need }
