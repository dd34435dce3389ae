package layout

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// VolumesFile is the table that makes a layout one volume of several. It lies
// beside index.json, where image-spec ("image-layout.md") allows other files.
const VolumesFile = "volumes.json"

// volumesFormat is the number this code writes and reads.
const volumesFormat = 1

// maxVolumes is far more than anybody burns, and keeps numbers to three digits.
const maxVolumes = 999

// VolumeTable says which blobs of one snapshot lie on which of several volumes.
// The table is the same on each of them but for Number. It is no secret and
// vouches for nothing: digests do, which come from the manifest.
type VolumeTable struct {
	Format int `json:"format"`
	// Snapshot is the digest of the manifest, which every volume has.
	Snapshot digest.Digest `json:"snapshot"`
	// Number says which volume this table lies on, 1 for the first.
	Number  int      `json:"number"`
	Volumes []Volume `json:"volumes"`
}

// Volume is one of several.
type Volume struct {
	// Label is what to write on it: the volume identifier of an image.
	Label string       `json:"label"`
	Blobs []VolumeBlob `json:"blobs"`
}

// VolumeBlob is a blob on a volume. Some are on each: manifest, config, catalog.
type VolumeBlob struct {
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"size"` // in bytes
}

var labelPattern = regexp.MustCompile(`^[A-Z0-9_]{1,16}$`)

// VolumeLabel is the label of volume number of the snapshot: capital letters,
// digits and "_", at most 16, as image formats want it. The only volume of a
// snapshot is number 0.
func VolumeLabel(snapshot digest.Digest, number int) string {
	const shown = 8 // digits of the digest: what a person compares
	id := "XC_" + strings.ToUpper(snapshot.Encoded()[:shown])
	if number == 0 {
		return id
	}
	return fmt.Sprintf("%s_%d", id, number)
}

// parseVolumes reads a table. What it says of sizes and digests has been checked
// when it returns.
func parseVolumes(b []byte) (*VolumeTable, error) {
	t := &VolumeTable{}
	if err := json.Unmarshal(b, t); err != nil {
		return nil, err
	}
	if t.Format != volumesFormat {
		return nil, fmt.Errorf("format %d, this program reads %d", t.Format, volumesFormat)
	}
	if err := checkDigest(t.Snapshot); err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	if n := len(t.Volumes); n == 0 || n > maxVolumes || t.Number < 1 || t.Number > n {
		return nil, fmt.Errorf("volume %d of %d", t.Number, n)
	}
	for i, v := range t.Volumes {
		if err := v.check(); err != nil {
			return nil, fmt.Errorf("volume %d: %w", i+1, err)
		}
	}
	return t, nil
}

func (v Volume) check() error {
	if !labelPattern.MatchString(v.Label) {
		return fmt.Errorf("label %q", v.Label)
	}
	if len(v.Blobs) == 0 {
		return errors.New("no blob")
	}
	for _, b := range v.Blobs {
		if err := checkDigest(b.Digest); err != nil {
			return err
		}
		if b.Size < 0 {
			return fmt.Errorf("blob %s: size %d", b.Digest, b.Size)
		}
	}
	return nil
}

// same reports whether both tables are of one set of volumes.
func (t *VolumeTable) same(other *VolumeTable) bool {
	return t.Snapshot == other.Snapshot && slices.EqualFunc(t.Volumes, other.Volumes, func(a, b Volume) bool {
		return a.Label == b.Label && slices.Equal(a.Blobs, b.Blobs)
	})
}

// where returns the numbers of the volumes that have the blob of digest d.
func (t *VolumeTable) where(d digest.Digest) []int {
	var numbers []int
	for i, v := range t.Volumes {
		if slices.ContainsFunc(v.Blobs, func(b VolumeBlob) bool { return b.Digest == d }) {
			numbers = append(numbers, i+1)
		}
	}
	return numbers
}

// name is how a message names volume number.
func (t *VolumeTable) name(number int) string {
	return fmt.Sprintf("volume %d of %d (%s)", number, len(t.Volumes), t.Volumes[number-1].Label)
}

// Blobs lists the blobs of the snapshot of manifest m, whose descriptor is desc: that
// first, then each once in the order of the manifest.
func Blobs(desc ocispec.Descriptor, m ocispec.Manifest) []ocispec.Descriptor {
	seen := map[digest.Digest]bool{}
	return slices.DeleteFunc(append([]ocispec.Descriptor{desc}, parts(m)...), func(d ocispec.Descriptor) bool {
		had := seen[d.Digest]
		seen[d.Digest] = true
		return had
	})
}

// On reports whether the blob of digest d is on a volume that is not among missing.
func (t *VolumeTable) On(d digest.Digest, missing []MissingVolume) bool {
	return slices.ContainsFunc(t.where(d), func(number int) bool {
		return !slices.ContainsFunc(missing, func(m MissingVolume) bool { return m.Number == number })
	})
}

// Have reports whether all blobs of volume number are in had.
func (t *VolumeTable) Have(number int, had map[digest.Digest]bool) bool {
	return !slices.ContainsFunc(t.Volumes[number-1].Blobs, func(b VolumeBlob) bool { return !had[b.Digest] })
}
