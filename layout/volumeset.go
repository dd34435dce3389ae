package layout

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// volumeSet is those volumes of a snapshot that are here.
type volumeSet struct {
	table  *VolumeTable
	stores []*store // by number - 1, nil where the volume is not here
}

// volumesName is the directory of volume number where a copy makes directories.
func volumesName(number int) string { return fmt.Sprintf("volume-%d", number) }

// Open opens the layout at path, a directory or an image, and reads its index. No
// blob is looked at. Where the layout is one volume of several, the others are
// opened as well: those at more, in any order, and those whose name differs from
// path in the number only. A directory that has volume-1, volume-2 and so on is
// opened as these, and where there is no mn.iso but an mn-1.iso, that is opened.
//
// Errors wrap fs.ErrNotExist, syscall.ENOTDIR, ErrNoLayout, ErrVersion, ErrIndex or,
// where one of more belongs to another snapshot, ErrVolume. Volumes that are not
// here are no error: see Missing.
func Open(path string, more ...string) (*Layout, error) {
	s, err := openAny(path)
	if first := imageName(path, 1); errors.Is(err, fs.ErrNotExist) && isImage(path) && free(first) != nil {
		return Open(first, more...)
	}
	if err != nil {
		return nil, err
	}
	if first := firstVolume(s); first != "" {
		if err := s.close(); err != nil {
			return nil, err
		}
		return Open(first, more...)
	}
	l := &Layout{store: s}
	if err := l.load(more); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// firstVolume returns a volume below directory s, which is no layout itself; "" if
// there is none.
func firstVolume(s *store) string {
	if s.root == nil || s.checkVersion() == nil {
		return ""
	}
	for number := 1; number <= maxVolumes; number++ {
		if _, err := s.root.Lstat(filepath.Join(volumesName(number), VolumesFile)); err == nil {
			return filepath.Join(s.dir, volumesName(number))
		}
	}
	return ""
}

func (l *Layout) load(more []string) (err error) {
	if l.index, err = l.store.load(); err != nil {
		return err
	}
	table, err := l.store.volumes()
	if err != nil {
		return err
	}
	if table == nil {
		if len(more) > 0 {
			return fmt.Errorf("layout %s: %w: it is not one of several", l.store.dir, ErrVolume)
		}
		return nil
	}
	l.set = &volumeSet{table: table, stores: make([]*store, len(table.Volumes))}
	l.set.stores[table.Number-1] = l.store
	for _, path := range more {
		if err := l.set.add(path); err != nil {
			return err
		}
	}
	for _, path := range siblings(l.store.dir, len(table.Volumes)) {
		// A name is a guess: what lies there may be anything.
		_ = l.set.add(path)
	}
	return nil
}

// volumes reads the table of a volume, nil if the layout is none.
func (s *store) volumes() (*VolumeTable, error) {
	b, err := s.read(VolumesFile, maxJSON)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("layout: %w", err)
	}
	t, err := parseVolumes(b)
	if err != nil {
		return nil, fmt.Errorf("layout %s: %s: %w: %w", s.dir, VolumesFile, ErrIndex, err)
	}
	return t, nil
}

// add opens the volume at path, unless its number is here already.
func (v *volumeSet) add(path string) (err error) {
	s, err := openAny(path)
	if err != nil {
		return err
	}
	kept := false
	defer func() {
		if !kept {
			err = errors.Join(err, s.close())
		}
	}()
	if _, err := s.load(); err != nil {
		return err
	}
	table, err := s.volumes()
	switch {
	case err != nil:
		return err
	case table == nil:
		return fmt.Errorf("layout %s: %w: it is not one of several", path, ErrVolume)
	case table.Snapshot != v.table.Snapshot:
		return fmt.Errorf("layout %s: %w: it belongs to snapshot %s, not %s", path, ErrVolume, table.Snapshot, v.table.Snapshot)
	case !table.same(v.table):
		return fmt.Errorf("layout %s: %w: the snapshot was spread otherwise there", path, ErrVolume)
	case v.stores[table.Number-1] == nil:
		v.stores[table.Number-1] = s
		kept = true
	}
	return nil
}

var numbered = regexp.MustCompile(`^(.*?)([0-9]+)([^0-9]*)$`)

// siblings are the paths where the other volumes may be, going by names: beside
// /mnt/disc1 it is /mnt/disc2, beside mn-1.iso it is mn-2.iso.
func siblings(path string, of int) []string {
	dir, name := filepath.Split(filepath.Clean(path))
	m := numbered.FindStringSubmatch(name)
	if m == nil {
		return nil
	}
	var list []string
	for n := range of + 1 {
		if number := strconv.Itoa(n); number != m[2] {
			list = append(list, filepath.Join(dir, m[1]+number+m[3]))
		}
	}
	return list
}

// MissingVolume is a volume that is not here.
type MissingVolume struct {
	Number, Of int
	Label      string
}

// String is how a message names it.
func (m MissingVolume) String() string {
	return fmt.Sprintf("volume %d of %d (%s)", m.Number, m.Of, m.Label)
}

// Missing lists the volumes that are not here; nothing for a layout that is not
// one of several.
func (l *Layout) Missing() []MissingVolume {
	if l.set == nil {
		return nil
	}
	var list []MissingVolume
	for i, s := range l.set.stores {
		if s == nil {
			list = append(list, MissingVolume{Number: i + 1, Of: len(l.set.stores), Label: l.set.table.Volumes[i].Label})
		}
	}
	return list
}

// Volumes is the table of a snapshot on several volumes, nil for any other layout.
// The caller does not change it.
func (l *Layout) Volumes() *VolumeTable {
	if l.set == nil {
		return nil
	}
	return l.set.table
}

// AddVolume opens the volume at path as one of l. Errors are those of Open.
func (l *Layout) AddVolume(path string) error {
	if l.set == nil {
		return fmt.Errorf("layout %s: %w: it is not one of several", l.store.dir, ErrVolume)
	}
	return l.set.add(path)
}

// storeOf returns where the blob of desc is read: of several volumes one that has
// it with the right size, or else one that should.
func (l *Layout) storeOf(desc ocispec.Descriptor) (*store, error) {
	if l.set == nil {
		return l.store, nil
	}
	var should *store
	numbers := l.set.table.where(desc.Digest)
	for _, n := range numbers {
		s := l.set.stores[n-1]
		if s == nil {
			continue
		}
		if s.statBlob(desc) == nil {
			return s, nil
		}
		should = s
	}
	switch {
	case should != nil:
		return should, nil
	case len(numbers) == 0:
		return l.store, nil
	}
	return nil, &elsewhereError{digest: desc.Digest, on: l.set.table.name(numbers[0])}
}

// Fetch opens the blob of desc, as oras-go's content.Fetcher. The reader
// answers io.EOF only after desc.Size bytes of digest desc.Digest; else its
// last Read is an error that wraps ErrCorrupt. So whoever stops reading before
// io.EOF has unverified bytes. A blob that is not there is an error that wraps
// ErrMissing.
func (l *Layout) Fetch(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	s, err := l.storeOf(desc)
	if err != nil {
		return nil, err
	}
	return s.fetch(ctx, desc)
}

// FetchFrom opens the blob of desc at offset, in bytes. What is read is not
// verified: whoever puts the blob together does that.
func (l *Layout) FetchFrom(ctx context.Context, desc ocispec.Descriptor, offset int64) (io.ReadCloser, error) {
	s, err := l.storeOf(desc)
	if err != nil {
		return nil, err
	}
	return s.fetchFrom(ctx, desc, offset)
}

// Close releases what Open opened. Readers that Fetch returned stay usable where
// the layout is a directory.
func (l *Layout) Close() error {
	all := []*store{l.store}
	if l.set != nil {
		all = slices.DeleteFunc(slices.Clone(l.set.stores), func(s *store) bool { return s == nil })
	}
	var failed []error
	for _, s := range all {
		failed = append(failed, s.close())
	}
	return errors.Join(failed...)
}

// elsewhereError is a blob on a volume that is not here.
type elsewhereError struct {
	digest digest.Digest
	on     string
}

func (e *elsewhereError) Error() string {
	return fmt.Sprintf("blob %s: %v: it is on %s, which is not here", e.digest, ErrMissing, e.on)
}

func (e *elsewhereError) Is(target error) bool {
	return (&missingError{}).Is(target) || target == ErrVolume
}

// isImage reports whether path reads like the name of an image.
func isImage(path string) bool { return strings.HasSuffix(strings.ToLower(path), ".iso") }
