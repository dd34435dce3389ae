package layout

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// index is index.json (image-spec "image-index.md"). It keeps every field it
// does not know, of the index and of its entries: other tools write here too.
type index struct {
	fields  map[string]json.RawMessage // all but "manifests"
	entries []entry
}

// entry is one element of "manifests". One manifest has an entry for each of
// its tags, or one without a tag.
type entry struct {
	fields map[string]json.RawMessage
	desc   ocispec.Descriptor
	err    error // why desc cannot be used; raw is kept all the same
	raw    json.RawMessage
}

const keyManifests = "manifests"

func newIndex() *index {
	return &index{fields: map[string]json.RawMessage{
		"schemaVersion": json.RawMessage("2"),
		"mediaType":     json.RawMessage(`"` + ocispec.MediaTypeImageIndex + `"`),
	}}
}

// parseIndex reads index.json. An entry that makes no sense is kept with its
// error, so that it hides no other.
func parseIndex(b []byte) (*index, error) {
	idx := &index{}
	if err := json.Unmarshal(b, &idx.fields); err != nil {
		return nil, err
	}
	var head specs.Versioned
	if err := json.Unmarshal(b, &head); err != nil {
		return nil, err
	}
	if head.SchemaVersion != 2 {
		return nil, fmt.Errorf("schemaVersion %d, this program reads 2", head.SchemaVersion)
	}
	list, found := idx.fields[keyManifests]
	if !found {
		return nil, errors.New(`no field "manifests"`)
	}
	var raws []json.RawMessage
	if err := json.Unmarshal(list, &raws); err != nil {
		return nil, fmt.Errorf("manifests: %w", err)
	}
	delete(idx.fields, keyManifests)
	for i, raw := range raws {
		e := parseEntry(raw)
		if e.err != nil {
			e.err = fmt.Errorf("%s: entry %d: %w: %w", ocispec.ImageIndexFile, i+1, ErrIndex, e.err)
		}
		idx.entries = append(idx.entries, e)
	}
	return idx, nil
}

func parseEntry(raw json.RawMessage) entry {
	e := entry{raw: raw}
	if e.err = json.Unmarshal(raw, &e.fields); e.err != nil {
		return e
	}
	if e.err = json.Unmarshal(raw, &e.desc); e.err != nil {
		return e
	}
	switch {
	case e.desc.Annotations != nil && e.fields["annotations"] == nil:
		// encoding/json takes "Annotations" too; the rest of this file does not.
		e.err = errors.New(`field "annotations" in other letters`)
	case e.desc.Size < 0:
		e.err = fmt.Errorf("size %d", e.desc.Size)
	case strings.HasPrefix(string(e.desc.Digest), "sha512:"):
		// The other algorithm image-spec registers ("descriptor.md"): another
		// tool's choice, no fault of the index.
	default:
		e.err = e.desc.Digest.Validate()
	}
	return e
}

// newEntry makes the entry of desc under tag, "" for none.
func newEntry(desc ocispec.Descriptor, tag string) (entry, error) {
	desc.Annotations = maps.Clone(desc.Annotations)
	delete(desc.Annotations, ocispec.AnnotationRefName)
	if tag != "" {
		if desc.Annotations == nil {
			desc.Annotations = map[string]string{}
		}
		desc.Annotations[ocispec.AnnotationRefName] = tag
	}
	b, err := json.Marshal(desc)
	if err != nil {
		return entry{}, err
	}
	e := parseEntry(b)
	return e, e.err
}

// tag is the entry's tag, "" if it has none.
func (e entry) tag() string { return e.desc.Annotations[ocispec.AnnotationRefName] }

// untagged is e without its tag and with all else.
func (e entry) untagged() (entry, error) {
	var notes map[string]json.RawMessage
	if err := json.Unmarshal(e.fields["annotations"], &notes); err != nil {
		return entry{}, err
	}
	delete(notes, ocispec.AnnotationRefName)
	fields := maps.Clone(e.fields)
	delete(fields, "annotations")
	if len(notes) > 0 {
		b, err := json.Marshal(notes)
		if err != nil {
			return entry{}, err
		}
		fields["annotations"] = b
	}
	b, err := json.Marshal(fields)
	if err != nil {
		return entry{}, err
	}
	return parseEntry(b), nil
}

// set makes desc an entry under each of tags, or one without a tag if there are
// none. A tag moves here from whatever had it; what had it stays listed.
func (idx *index) set(desc ocispec.Descriptor, tags []string) error {
	var kept, loose []entry
	for _, e := range idx.entries {
		switch {
		case e.err != nil || e.tag() == "" || !slices.Contains(tags, e.tag()):
			kept = append(kept, e)
		case e.desc.Digest != desc.Digest:
			bare, err := e.untagged()
			if err != nil {
				return fmt.Errorf("tag %q: %w", e.tag(), err)
			}
			loose = append(loose, bare)
		}
	}
	tags = slices.Compact(slices.Sorted(slices.Values(tags)))
	if len(tags) == 0 {
		tags = []string{""}
	}
	for _, tag := range tags {
		e, err := newEntry(desc, tag)
		if err != nil {
			return err
		}
		if tag == "" {
			loose = append(loose, e)
			continue
		}
		kept = append(kept, e)
	}
	idx.entries = kept
	for _, e := range loose {
		if err := idx.addLoose(e); err != nil {
			return err
		}
	}
	return idx.dropLoose(desc)
}

// addLoose adds e, which has no tag, unless another entry says the same.
func (idx *index) addLoose(e entry) error {
	for _, other := range idx.entries {
		same, err := e.sameButTag(other)
		if err != nil {
			return err
		}
		if same {
			return nil
		}
	}
	idx.entries = append(idx.entries, e)
	return nil
}

// dropLoose removes the entry of desc without a tag if one with a tag says the
// same: desc has just been given its first.
func (idx *index) dropLoose(desc ocispec.Descriptor) error {
	var tagged []entry
	for _, e := range idx.entries {
		if e.err == nil && e.desc.Digest == desc.Digest && e.tag() != "" {
			tagged = append(tagged, e)
		}
	}
	var kept []entry
	for _, e := range idx.entries {
		drop := false
		for _, t := range tagged {
			if e.err != nil || e.tag() != "" {
				break
			}
			same, err := e.sameButTag(t)
			if err != nil {
				return err
			}
			drop = drop || same
		}
		if !drop {
			kept = append(kept, e)
		}
	}
	idx.entries = kept
	return nil
}

// sameButTag reports whether e, which has no tag, says of the same manifest
// what other says, the tag aside.
func (e entry) sameButTag(other entry) (bool, error) {
	if other.err != nil || other.desc.Digest != e.desc.Digest {
		return false, nil
	}
	if other.tag() != "" {
		var err error
		if other, err = other.untagged(); err != nil {
			return false, err
		}
	}
	a, err := json.Marshal(e.canonical())
	if err != nil {
		return false, err
	}
	b, err := json.Marshal(other.canonical())
	return bytes.Equal(a, b), err
}

// marshal writes the index: the same entries give the same bytes, in whatever
// order they came. Tags come first, by name; then what has none, by digest.
func (idx *index) marshal() ([]byte, error) {
	slices.SortFunc(idx.entries, func(a, b entry) int {
		if c := strings.Compare(a.tag(), b.tag()); c != 0 {
			switch {
			case a.tag() == "":
				return 1
			case b.tag() == "":
				return -1
			}
			return c
		}
		if c := strings.Compare(string(a.desc.Digest), string(b.desc.Digest)); c != 0 {
			return c
		}
		return bytes.Compare(a.written(), b.written())
	})
	list := make([]any, 0, len(idx.entries))
	for _, e := range idx.entries {
		list = append(list, e.canonical())
	}
	fields := make(map[string]any, len(idx.fields)+1)
	for k, v := range idx.fields {
		fields[k] = v
	}
	fields[keyManifests] = list
	b, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	if len(b) > maxJSON {
		return nil, fmt.Errorf("%d bytes, at most %d: too many snapshots in one layout", len(b), maxJSON)
	}
	return b, nil
}

// written is the canonical form in bytes, which decides where nothing else does.
func (e entry) written() []byte {
	b, err := json.Marshal(e.canonical())
	if err != nil {
		return e.raw // what cannot be written fails when it is
	}
	return b
}

// canonical is e as it is written: its fields in order of their names, or what
// was there if it is no JSON object.
func (e entry) canonical() any {
	if e.fields == nil {
		return e.raw
	}
	return e.fields
}
