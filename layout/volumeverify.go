package layout

import (
	"context"
	"fmt"
	"io"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/xcrate/xcrate/internal/progress"
)

// VolumeReport is what VerifyVolumes found on one volume.
type VolumeReport struct {
	Number int
	Label  string
	Path   string // "" if the volume is not here
	Blobs  int    // that it has to hold
	// Problems are errors about single blobs, in the order of the table.
	Problems []error
}

// VolumesSize is how many bytes VerifyVolumes reads.
func (l *Layout) VolumesSize() int64 {
	var n int64
	for i, v := range l.Volumes().Volumes {
		if l.set.stores[i] == nil {
			continue
		}
		for _, b := range v.Blobs {
			n += b.Size
		}
	}
	return n
}

// VerifyVolumes reads every blob of every volume that is here: also those that are on
// each, of which whoever reads the snapshot takes only one. The error is only about
// being interrupted.
func (l *Layout) VerifyVolumes(ctx context.Context, p progress.Sink) ([]VolumeReport, error) {
	var reports []VolumeReport
	for i, v := range l.Volumes().Volumes {
		r := VolumeReport{Number: i + 1, Label: v.Label, Blobs: len(v.Blobs)}
		if s := l.set.stores[i]; s != nil {
			r.Path = s.dir
			for _, b := range v.Blobs {
				if err := s.drain(ctx, b, p); err != nil {
					r.Problems = append(r.Problems, err)
				}
				if ctx.Err() != nil {
					return nil, ctx.Err()
				}
			}
		}
		reports = append(reports, r)
	}
	return reports, nil
}

// drain reads a blob to its end.
func (s *store) drain(ctx context.Context, b VolumeBlob, p progress.Sink) error {
	r, err := s.fetch(ctx, ocispec.Descriptor{Digest: b.Digest, Size: b.Size})
	if err != nil {
		return err
	}
	counting := &countingReader{r, p}
	_, err = io.CopyBuffer(io.Discard, &contextReader{ctx: ctx, r: counting}, make([]byte, writeBuffer))
	if cerr := r.Close(); err == nil && cerr != nil {
		err = fmt.Errorf("blob %s: %w", b.Digest, cerr)
	}
	return err
}
