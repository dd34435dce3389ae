package main

import (
	"bytes"
	"context"
	_ "embed" // the files are in the program
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

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

	toolName = "xcatimport"
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
// first.
func companions(s *artifact.Snapshot, tags []string, more []stickTool) ([]layout.Companion, error) {
	about := stick{
		Mark: companionMark, Title: escape(s.Config.Title()), Created: s.Config.Created.UTC().Format("2006-01-02 15:04:05 MST"),
		Tags: strings.Join(tags, ", "), Size: size(s.Size()),
	}
	for piece := range slices.Chunk([]byte(s.Descriptor.Digest.Encoded()), 16) {
		about.Digest = append(about.Digest, string(bytes.Join(slices.Collect(slices.Chunk(piece, 4)), []byte(" "))))
	}
	var list []layout.Companion
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
	}{{"README.txt", readMe, 0o600, true}, {"RESTORE.sh", restoreScript, 0o700, len(about.Tools) > 0}} {
		if !one.wanted {
			continue
		}
		var b bytes.Buffer
		t, err := template.New(one.name).Parse(one.text)
		if err == nil {
			err = t.Execute(&b, about)
		}
		if err != nil {
			return nil, err
		}
		list = append(list, layout.Companion{Name: one.name, Mode: one.mode, Content: b.Bytes(), Mark: companionMark})
	}
	return list, nil
}

// place puts the files beside the layout at dir, to which w has just added s. The snapshot
// is there: Ctrl-C is too late to take it back, and leaves no stick without its program.
func (a *app) place(ctx context.Context, w *layout.Writer, dir string, s *artifact.Snapshot, tags []string) error {
	ctx = context.WithoutCancel(ctx)
	tools, err := toolsIn(ctx, dir)
	if err != nil {
		return err
	}
	list, err := companions(s, tags, tools)
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
	s, err := artifact.Load(context.WithoutCancel(ctx), l, desc)
	if err != nil {
		return err
	}
	return a.place(ctx, w, dir, s, tags)
}

// toolsIn finds the programs that lie in the layout at dir, newest first.
func toolsIn(ctx context.Context, dir string) (_ []stickTool, err error) {
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
	var tools []stickTool
	for _, one := range all[:min(len(all), maxTools)] {
		if one.Err != nil || one.Foreign {
			continue
		}
		s, err := artifact.Load(ctx, l, one.Descriptor)
		if err != nil {
			continue // verify tells
		}
		if t, found := toolOf(s); found {
			tools = append(tools, t)
		}
	}
	return tools, ctx.Err()
}

// wrongPrograms finds programs beside s that are none of those in the snapshots there. A
// script that checks them goes with them; who starts them by their names does not.
func (s *source) wrongPrograms(ctx context.Context) ([]string, error) {
	found, err := s.layout.Beside(ctx, toolName)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	tools, err := toolsIn(ctx, s.place.Path)
	if err != nil {
		return nil, err
	}
	if own, ok := toolOf(s.Snapshot); ok {
		tools = append(tools, own)
	}
	var wrong []string
	for where, d := range found {
		if !slices.ContainsFunc(tools, func(t stickTool) bool { return t.desc.Digest == d }) {
			wrong = append(wrong, filepath.Join(where, toolName))
		}
	}
	slices.Sort(wrong)
	return wrong, nil
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
