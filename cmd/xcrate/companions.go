package main

import (
	"bytes"
	"context"
	_ "embed" // the files are in the program
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/layout"
)

// Beside a layout lies what a person at a machine without xcrate needs: the program, a
// script that runs it, and a page that says what this is.

//go:embed stick/RESTORE.sh
var restoreScript string

//go:embed stick/README.txt
var readMe string

const (
	companionMark = "written by xcrate with the snapshot beside it"
	elfMark       = "\x7fELF"

	toolName   = "xcatimport"
	scriptName = "RESTORE.sh"
	// maxTools is of how many snapshots the programs are looked at.
	maxTools = 64
)

// stickTool is a program for an architecture.
type stickTool struct {
	Arch, Sum string // as uname -m says, SHA-256 in hex
	desc      ocispec.Descriptor
}

// stick is what the companions say.
type stick struct {
	Mark, Title, Created, Tags, Size string
	Digest                           []string // in pieces that can be read out
	Tools                            []stickTool
	// Open says that whoever has the medium has the secrets.
	Open bool
	// Manifest is the digest of it in hex, and Signatures are the files with them.
	Manifest   string
	Signatures []string
}

// toolOf returns the program of s. An architecture that nobody knows goes into no script:
// a snapshot may come from anywhere.
func toolOf(s *artifact.Snapshot) (stickTool, bool) {
	layers := s.Layers(artifact.KindTool)
	if _, known := machines()[s.Config.Host.Arch]; len(layers) == 0 || !known {
		return stickTool{}, false
	}
	return stickTool{Arch: s.Config.Host.Arch, Sum: layers[0].Digest.Encoded(), desc: layers[0]}, true
}

// companions are the files beside snapshot s, with programs that are there, the one of s
// first, and the signatures of s.
func companions(s *artifact.Snapshot, tags []string, more []stickTool, signatures []signature) ([]layout.Companion, error) {
	secrets := s.Config.Secrets
	about := stick{
		Open: secrets == nil || secrets.State == artifact.SecretsOpen, Manifest: s.Descriptor.Digest.Encoded(),
		Mark: companionMark, Title: escape(s.Config.Title()), Created: s.Config.Created.UTC().Format("2006-01-02 15:04:05 MST"),
		Tags: strings.Join(tags, ", "), Size: size(s.Size()),
	}
	for piece := range slices.Chunk([]byte(s.Descriptor.Digest.Encoded()), 16) {
		about.Digest = append(about.Digest, string(bytes.Join(slices.Collect(slices.Chunk(piece, 4)), []byte(" "))))
	}
	var list []layout.Companion
	for _, one := range signatures {
		files := signatureFiles(s.Descriptor.Digest, one)
		about.Signatures = append(about.Signatures, files[0].Name)
		list = append(list, files...)
	}
	own, found := toolOf(s)
	if found {
		about.Tools = []stickTool{own}
		list = append(list, layout.Companion{Name: toolName, Mode: 0o700, Blob: &own.desc, Mark: elfMark})
	}
	for _, t := range more {
		if !slices.ContainsFunc(about.Tools, func(had stickTool) bool { return had.Arch == t.Arch }) {
			about.Tools = append(about.Tools, t)
		}
	}
	for _, one := range []struct {
		name, text string
		mode       fs.FileMode
		wanted     bool
	}{{"README.txt", readMe, 0o600, true}, {scriptName, restoreScript, 0o700, len(about.Tools) > 0}} {
		if !one.wanted {
			continue
		}
		content, err := about.fill(one.text)
		if err != nil {
			return nil, err
		}
		list = append(list, layout.Companion{Name: one.name, Mode: one.mode, Content: content, Mark: companionMark})
	}
	return list, nil
}

// fill makes of a template what about says.
func (about stick) fill(text string) ([]byte, error) {
	var b bytes.Buffer
	t, err := template.New("").Parse(text)
	if err == nil {
		err = t.Execute(&b, about)
	}
	return b.Bytes(), err
}

// scriptFor is what a config says of the script beside a snapshot with this program, if
// there is one: nothing in it depends on the rest of the snapshot.
func scriptFor(arch string, tool []ocispec.Descriptor) ([]artifact.BesideFile, error) {
	if _, known := machines()[arch]; len(tool) == 0 || !known {
		return nil, nil
	}
	content, err := stick{Mark: companionMark, Tools: []stickTool{{Arch: arch, Sum: tool[0].Digest.Encoded()}}}.fill(restoreScript)
	return []artifact.BesideFile{{Name: scriptName, Digest: digest.FromBytes(content)}}, err
}

// signatureFiles are a signature as openssl reads it, and as cosign does. Their names say
// of which snapshot it is, and by which key.
func signatureFiles(snapshot digest.Digest, s signature) []layout.Companion {
	const shown = 12 // digits that tell one from another
	name := "signature-" + snapshot.Encoded()[:shown] + "-" + digest.FromString(s.Hint).Encoded()[:shown]
	return []layout.Companion{
		{Name: name + ".sig", Mode: 0o600, Content: s.Raw},
		{Name: name + ".sigstore.json", Mode: 0o600, Content: s.bundle},
	}
}

// place puts the files beside the layout at dir, to which w has just added s. The snapshot
// is there: Ctrl-C is too late to take it back, and leaves no stick without its program.
func (a *app) place(ctx context.Context, w *layout.Writer, dir string, s *artifact.Snapshot, tags []string, signatures []signature) error {
	ctx = context.WithoutCancel(ctx)
	tools, err := toolsIn(ctx, dir)
	if err != nil {
		return err
	}
	list, err := companions(s, tags, tools, signatures)
	if err != nil {
		return err
	}
	foreign, err := w.Place(ctx, list)
	for _, name := range foreign {
		a.note("%s in %s is not ours: it stays as it is", name, dir)
	}
	return err
}

// placeBeside is place for a snapshot that is only known by its descriptor.
func (a *app) placeBeside(ctx context.Context, w *layout.Writer, dir string, desc ocispec.Descriptor, tags []string) (err error) {
	l, err := layout.Open(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	ctx = context.WithoutCancel(ctx)
	s := &source{Source: l, layout: l, desc: desc}
	if err := s.load(ctx); err != nil {
		return err
	}
	found, err := s.signatures(ctx)
	if err != nil {
		return err
	}
	return a.place(ctx, w, dir, s.Snapshot, tags, found)
}

// toolsIn finds the programs that lie in the layout at dir, newest first.
func toolsIn(ctx context.Context, dir string) ([]stickTool, error) {
	all, err := snapshotsIn(ctx, dir)
	var tools []stickTool
	for _, s := range all {
		if t, found := toolOf(s); found {
			tools = append(tools, t)
		}
	}
	return tools, err
}

// snapshotsIn loads the snapshots of the layout at dir, newest first, as far as they can
// be read: verify tells.
func snapshotsIn(ctx context.Context, dir string) (_ []*artifact.Snapshot, err error) {
	l, err := layout.Open(dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	all, err := l.Snapshots(ctx)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(all, func(a, b layout.Snapshot) int { return b.Created.Compare(a.Created) })
	var found []*artifact.Snapshot
	for _, one := range all[:min(len(all), maxTools)] {
		if one.Err != nil || one.Foreign {
			continue
		}
		if s, err := artifact.Load(ctx, l, one.Descriptor); err == nil {
			found = append(found, s)
		}
	}
	return found, ctx.Err()
}

// wrongPrograms finds programs and scripts beside s that are none of those which an export
// of a snapshot there has written.
func (s *source) wrongPrograms(ctx context.Context) ([]string, error) {
	good, err := s.besides(ctx)
	if err != nil {
		return nil, err
	}
	return s.besideBut(ctx, good)
}

// uncovered finds programs and scripts beside s that a signature of s says nothing about:
// those that are of another snapshot.
func (s *source) uncovered(ctx context.Context) ([]string, error) {
	return s.besideBut(ctx, ownBesides(s.Snapshot))
}

// besideBut finds programs and scripts beside s whose digests are not among good.
func (s *source) besideBut(ctx context.Context, good map[digest.Digest]bool) ([]string, error) {
	var names []string
	for _, name := range []string{toolName, scriptName} {
		found, err := s.layout.Beside(ctx, name)
		if err != nil {
			return nil, err
		}
		for where, d := range found {
			if !good[d] {
				names = append(names, filepath.Join(where, name))
			}
		}
	}
	slices.Sort(names)
	return names, nil
}

// ownBesides are the digests of the program and script of s.
func ownBesides(s *artifact.Snapshot) map[digest.Digest]bool {
	good := map[digest.Digest]bool{}
	if t, found := toolOf(s); found {
		good[t.desc.Digest] = true
	}
	for _, b := range s.Config.Beside {
		good[b.Digest] = true
	}
	return good
}

// besides are the digests of programs and scripts that may lie beside s.
func (s *source) besides(ctx context.Context) (map[digest.Digest]bool, error) {
	all, err := snapshotsIn(ctx, s.place.Path)
	if err != nil {
		return nil, err
	}
	good := map[digest.Digest]bool{}
	var tools []stickTool
	for _, one := range append(all, s.Snapshot) {
		if t, found := toolOf(one); found {
			tools = append(tools, t)
		}
		maps.Copy(good, ownBesides(one))
	}
	// With programs for several architectures the script names them all.
	for _, one := range append(all, s.Snapshot) {
		list, err := companions(one, nil, tools, nil)
		if err != nil {
			return nil, err
		}
		for _, c := range list {
			if c.Name == scriptName {
				good[digest.FromBytes(c.Content)] = true
			}
		}
	}
	return good, nil
}

// ownLayout is a reference to the layout in which this program lies, as on a stick; ""
// if it lies in none.
func (a *app) ownLayout() string {
	if a.program == "" {
		return ""
	}
	dir := filepath.Dir(a.program)
	l, err := layout.Open(dir)
	if err != nil || l.Close() != nil {
		return ""
	}
	return layout.Reference{Path: dir}.String()
}
