package layout

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/internal/iso9660"
	"github.com/xcrate/xcrate/internal/progress"
)

// PackOptions say how Pack writes a snapshot.
type PackOptions struct {
	// Capacity is how many bytes a volume holds, 0 for as many as it takes: then
	// there is one.
	Capacity int64
	// Image writes ISO 9660 images, not directories.
	Image bool
	// Tags are the snapshot's in each volume.
	Tags []string
	// Created is the time of all that is in an image.
	Created time.Time
	// Referrers go along, on every volume: what says something about the snapshot.
	Referrers []Referrer
	// Companions lie on every volume.
	Companions []Companion
	Progress   progress.Sink
}

// Packed is a volume that was written.
type Packed struct {
	Path  string `json:"path"`
	Label string `json:"label"`
	Size  int64  `json:"size"` // in bytes
	Blobs int    `json:"blobs"`
}

// Pack writes one snapshot, of manifest m, as one or several volumes at dest: images
// dest, or dest with -1, -2 and so on before its extension, or directories volume-1,
// volume-2 and so on below dest. The same snapshot gives the same bytes.
//
// They get their names when all of them are whole and durable; after an error nothing
// is left. Errors wrap ErrTooSmall if the largest blob does not fit, fs.ErrExist if one
// of the names is taken, syscall.ENOSPC if there is not room for all.
func Pack(ctx context.Context, from Source, desc ocispec.Descriptor, m ocispec.Manifest, dest string, o PackOptions) (_ []Packed, err error) {
	p := &packer{from: from, desc: desc, o: o, blobs: map[string]ocispec.Descriptor{}}
	for _, d := range append(Blobs(desc, m), p.referrers()...) {
		p.blobs[string(d.Digest)] = d
	}
	if err := p.deal(m); err != nil {
		return nil, err
	}
	if !o.Image {
		made, err := makeVolumesDir(dest)
		if err != nil {
			return nil, err
		}
		if made {
			p.made = filepath.Clean(dest)
		}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.remove())
		}
	}()
	if err := p.name(dest); err != nil {
		return nil, err
	}
	for i := range p.volumes {
		if err := p.write(ctx, i); err != nil {
			return nil, err
		}
	}
	return p.volumes, p.publish()
}

// packer is one run of Pack.
type packer struct {
	from    Source
	desc    ocispec.Descriptor
	o       PackOptions
	blobs   map[string]ocispec.Descriptor // by digest
	table   *VolumeTable                  // of one volume for all that is not dealt out
	volumes []Packed
	made    string // the directory they go into, if it was not there
}

// unfinished ends the name of a volume that is not whole.
const unfinished = ".partial"

func (p *packer) deal(m ocispec.Manifest) (err error) {
	if p.o.Capacity == 0 {
		p.table = newTable(p.desc.Digest, [][]ocispec.Descriptor{append(Blobs(p.desc, m), p.referrers()...)})
		return nil
	}
	var extra int64
	for _, c := range p.o.Companions {
		extra += discSize(c.size())
	}
	// The table itself, which is as long whatever is where, and the index.
	extra += discSize(int64(200*len(p.blobs))) + discSize(maxIndexOfVolume)
	p.table, err = spread(p.desc, m, p.referrers(), p.o.Capacity, extra)
	return err
}

// referrers lists the blobs of the referrers, each once.
func (p *packer) referrers() []ocispec.Descriptor {
	var all []ocispec.Descriptor
	for _, r := range p.o.Referrers {
		for _, d := range Blobs(r.Descriptor, r.Manifest) {
			if !slices.ContainsFunc(all, func(had ocispec.Descriptor) bool { return had.Digest == d.Digest }) {
				all = append(all, d)
			}
		}
	}
	return all
}

// maxIndexOfVolume is more than index.json takes with the tags of one snapshot.
const maxIndexOfVolume = 16 << 10

// single reports whether the snapshot is whole on its only volume.
func (p *packer) single() bool { return len(p.table.Volumes) == 1 }

// name settles where the volumes go, and that there is room for them.
func (p *packer) name(dest string) error {
	var total int64
	for i, v := range p.table.Volumes {
		one := Packed{Path: filepath.Join(dest, volumesName(i+1)), Label: v.Label, Blobs: len(v.Blobs)}
		if p.o.Image {
			one.Path = dest
			if p.single() {
				one.Label = VolumeLabel(p.desc.Digest, 0)
			} else {
				one.Path = imageName(dest, i+1)
			}
		}
		if err := free(one.Path); err != nil {
			return err
		}
		files, err := p.files(context.Background(), i)
		if err == nil {
			one.Size, err = p.sizeOf(files, i)
		}
		if err != nil {
			return fmt.Errorf("volume %s: %w", one.Path, err)
		}
		total += one.Size
		p.volumes = append(p.volumes, one)
	}
	return p.room(dest, total)
}

// room makes sure that need bytes can be written.
func (p *packer) room(dest string, need int64) error {
	if !p.o.Image {
		dest = filepath.Join(dest, "x") // it is there; Free measures the parent of what is not
	}
	have, err := Free(dest)
	if err == nil && uint64(need) > have {
		err = fmt.Errorf("volumes in %s: %d bytes, and %d are free: %w", filepath.Dir(dest), need, have, unix.ENOSPC)
	}
	return err
}

// sizeOf is how long volume i is as an image.
func (p *packer) sizeOf(files []iso9660.File, i int) (int64, error) {
	size, err := iso9660.Size(files, p.imageOptions(i))
	if err == nil && p.o.Capacity > 0 && size > p.o.Capacity {
		err = &tooSmallError{capacity: p.o.Capacity, need: size, blob: p.desc.Digest}
	}
	return size, err
}

func (p *packer) imageOptions(i int) iso9660.Options {
	o := iso9660.Options{Label: p.table.Volumes[i].Label, Created: p.o.Created, Application: "XCRATE", Number: 1, Of: 1}
	if p.single() {
		o.Label = VolumeLabel(p.desc.Digest, 0)
		return o
	}
	o.Set, o.Number, o.Of = VolumeLabel(p.desc.Digest, 0), i+1, len(p.table.Volumes)
	return o
}

// files lists what volume i holds.
func (p *packer) files(ctx context.Context, i int) ([]iso9660.File, error) {
	index, err := p.index()
	if err != nil {
		return nil, err
	}
	list := []Companion{{Name: ocispec.ImageLayoutFile, Mode: 0o444, Content: []byte(layoutFile)}, {Name: ocispec.ImageIndexFile, Mode: 0o444, Content: index}}
	for _, c := range p.o.Companions {
		executable := c.Mode&0o100 != 0
		if c.Mode = 0o444; executable { // a disc is read by whoever has it
			c.Mode = 0o555
		}
		list = append(list, c)
	}
	if !p.single() || !p.o.Image {
		table, err := p.tableOf(i)
		if err != nil {
			return nil, err
		}
		list = append(list, Companion{Name: VolumesFile, Mode: 0o444, Content: table})
	}
	for _, b := range p.table.Volumes[i].Blobs {
		d := p.blobs[string(b.Digest)]
		list = append(list, Companion{Name: blobName(d.Digest), Mode: 0o444, Blob: &d})
	}
	files := make([]iso9660.File, 0, len(list))
	for _, c := range list {
		files = append(files, iso9660.File{Path: c.Name, Size: c.size(), Mode: c.Mode, Open: func() (io.ReadCloser, error) { return p.open(ctx, c) }})
	}
	return files, nil
}

// open opens what is in c. A blob is verified while it is read.
func (p *packer) open(ctx context.Context, c Companion) (io.ReadCloser, error) {
	if c.Blob == nil {
		return io.NopCloser(bytes.NewReader(c.Content)), nil
	}
	return p.from.Fetch(ctx, *c.Blob)
}

func (p *packer) index() ([]byte, error) {
	idx := newIndex()
	if err := idx.set(p.desc, p.o.Tags); err != nil {
		return nil, err
	}
	for _, r := range p.o.Referrers {
		if err := idx.set(r.Descriptor, nil); err != nil {
			return nil, err
		}
	}
	return idx.marshal()
}

func (p *packer) tableOf(i int) ([]byte, error) {
	t := *p.table
	t.Number = i + 1
	return json.Marshal(t)
}

// publish gives all volumes their names.
func (p *packer) publish() error {
	for i, v := range p.volumes {
		if err := os.Rename(v.Path+unfinished, v.Path); err != nil {
			// Those before it are not half of anything to anybody.
			for _, done := range p.volumes[:i] {
				err = errors.Join(err, os.Rename(done.Path, done.Path+unfinished))
			}
			return err
		}
	}
	return syncDirectory(filepath.Dir(p.volumes[0].Path))
}

// remove takes back what is not finished.
func (p *packer) remove() error {
	var failed []error
	for _, v := range p.volumes {
		failed = append(failed, os.RemoveAll(v.Path+unfinished))
	}
	if p.made != "" {
		failed = append(failed, os.Remove(p.made))
	}
	return errors.Join(failed...)
}
