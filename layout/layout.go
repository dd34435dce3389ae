package layout

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/xcrate/xcrate/artifact"
)

// Latest is the tag Resolve takes where none is asked for.
const Latest = "latest"

// Layout is a layout opened for reading. It is safe for concurrent use, works
// on read-only media, and shows the index as it was when it was opened.
type Layout struct {
	store *store // whose index counts
	index *index
	set   *volumeSet // nil unless it is one volume of several
}

func (s *store) load() (*index, error) {
	if err := s.checkVersion(); err != nil {
		return nil, err
	}
	return s.readIndex()
}

// Snapshot is what a layout's index lists: one manifest with all its tags.
type Snapshot struct {
	// Descriptor is that of the manifest, without a tag. What it says besides
	// digest and size comes from the index, which nothing vouches for.
	Descriptor ocispec.Descriptor
	// Tags are the manifest's tags, sorted; nil if it has none.
	Tags []string
	// Annotations are those of the verified manifest.
	Annotations map[string]string
	// Created is Annotations[org.opencontainers.image.created], the zero time
	// if it is not there or not RFC 3339.
	Created time.Time
	// Foreign says that it is something else than an xcrate snapshot.
	Foreign bool
	// Subject is the manifest that it says something about, "" for most.
	Subject digest.Digest
	// Err says why the entry or the manifest cannot be read, nil if it can.
	Err error
}

// Snapshots lists every manifest of the index once, in the index's order. What
// cannot be read is listed with its error: only a cancelled ctx is an error.
func (l *Layout) Snapshots(ctx context.Context) ([]Snapshot, error) {
	var list []Snapshot
	at := map[digest.Digest]int{}
	for _, e := range l.index.entries {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		i, seen := at[e.desc.Digest]
		if !seen || e.err != nil {
			i = len(list)
			list = append(list, l.snapshot(ctx, e))
			if e.err == nil {
				at[e.desc.Digest] = i
			}
		}
		if tag := e.tag(); tag != "" && !slices.Contains(list[i].Tags, tag) {
			list[i].Tags = append(list[i].Tags, tag)
			slices.Sort(list[i].Tags)
		}
	}
	return list, ctx.Err()
}

func (l *Layout) snapshot(ctx context.Context, e entry) Snapshot {
	snap := Snapshot{Descriptor: bare(e.desc), Err: e.err}
	if e.err != nil {
		return snap
	}
	if e.desc.MediaType != ocispec.MediaTypeImageManifest || e.desc.Digest.Algorithm() != digest.SHA256 {
		snap.Foreign = true
		return snap
	}
	m, err := l.store.manifest(ctx, e.desc)
	if err != nil {
		snap.Err = err
		return snap
	}
	snap.Foreign = m.ArtifactType != artifact.TypeSnapshot
	if m.Subject != nil {
		snap.Subject = m.Subject.Digest
	}
	snap.Annotations = m.Annotations
	if t, err := time.Parse(time.RFC3339, m.Annotations[ocispec.AnnotationCreated]); err == nil {
		snap.Created = t
	}
	return snap
}

// bare is desc without the tag of the entry it came from.
func bare(desc ocispec.Descriptor) ocispec.Descriptor {
	desc.Annotations = maps.Clone(desc.Annotations)
	delete(desc.Annotations, ocispec.AnnotationRefName)
	if len(desc.Annotations) == 0 {
		desc.Annotations = nil
	}
	return desc
}

// Resolve returns the descriptor of the manifest that name means, as oras-go's
// content.Resolver: a tag, a digest, or "" for the tag latest, else for the
// only snapshot there is. What it returns need not be a snapshot: a tag may
// belong to another tool's artifact. Errors wrap ErrNotFound if there is no
// such thing.
func (l *Layout) Resolve(ctx context.Context, name string) (ocispec.Descriptor, error) {
	if err := ctx.Err(); err != nil {
		return ocispec.Descriptor{}, err
	}
	if name == "" {
		return l.resolveDefault(ctx)
	}
	match, what := func(e entry) bool { return e.tag() == name }, fmt.Sprintf("tag %q", name)
	if strings.Contains(name, ":") {
		if err := checkDigest(digest.Digest(name)); err != nil {
			return ocispec.Descriptor{}, fmt.Errorf("layout %s: %w", l.store.dir, err)
		}
		match, what = func(e entry) bool { return string(e.desc.Digest) == name }, "digest "+name
	}
	found, err := l.find(match)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("layout %s: %s: %w", l.store.dir, what, err)
	}
	if found == nil {
		return ocispec.Descriptor{}, fmt.Errorf("layout %s: %w", l.store.dir, &notFoundError{what: what, have: l.tags()})
	}
	return *found, nil
}

// find returns the manifest whose entries match, nil if none does. Entries of
// two manifests that match are an error: image-spec does not say which counts.
func (l *Layout) find(match func(entry) bool) (*ocispec.Descriptor, error) {
	var found *ocispec.Descriptor
	for _, e := range l.index.entries {
		if !match(e) {
			continue
		}
		if e.err != nil {
			return nil, e.err
		}
		if found == nil {
			d := bare(e.desc)
			found = &d
		} else if found.Digest != e.desc.Digest {
			return nil, fmt.Errorf("%s: %w: two manifests have it, %s and %s",
				ocispec.ImageIndexFile, ErrIndex, found.Digest, e.desc.Digest)
		}
	}
	return found, nil
}

func (l *Layout) resolveDefault(ctx context.Context) (ocispec.Descriptor, error) {
	found, err := l.find(func(e entry) bool { return e.tag() == Latest })
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("layout %s: tag %q: %w", l.store.dir, Latest, err)
	}
	if found != nil {
		return *found, nil
	}
	all, err := l.Snapshots(ctx)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	ours := slices.DeleteFunc(slices.Clone(all), func(s Snapshot) bool { return s.Foreign })
	if len(ours) == 0 {
		// The only thing there is: the caller finds out, and says, what it is.
		ours = all
	}
	switch {
	case len(ours) == 0:
		err = &notFoundError{what: "no tag given", have: l.tags()}
	case len(ours) > 1:
		err = fmt.Errorf("no tag given, and %d snapshots to choose from; %s", len(ours), l.tags())
	case errors.Is(ours[0].Err, ErrIndex):
		err = ours[0].Err
	default:
		return ours[0].Descriptor, nil
	}
	return ocispec.Descriptor{}, fmt.Errorf("layout %s: %w", l.store.dir, err)
}

// maxTagsShown keeps messages short in a layout with years of nightly copies.
// Default tags end in the time, so that the last of them are the newest.
const maxTagsShown = 20

// tags says in a sentence part which tags there are.
func (l *Layout) tags() string {
	var tags []string
	for _, e := range l.index.entries {
		if tag := e.tag(); tag != "" && !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	slices.Sort(tags)
	switch {
	case len(l.index.entries) == 0:
		return "the layout is empty"
	case len(tags) == 0:
		return "nothing in the layout has a tag, give a digest"
	}
	more := ""
	if over := len(tags) - maxTagsShown; over > 0 {
		tags, more = tags[over:], fmt.Sprintf(" and %d before them", over)
	}
	return "tags: " + strings.Join(tags, ", ") + more
}
