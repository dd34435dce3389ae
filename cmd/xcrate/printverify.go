package main

import (
	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/layout"
)

// verification is what verify prints as JSON.
type verification struct {
	Reference string   `json:"reference"`
	Digest    string   `json:"digest"`
	OK        bool     `json:"ok"`
	Blobs     int      `json:"blobs"`
	Bytes     int64    `json:"bytes"`
	Entries   int64    `json:"entries"`
	Problems  []string `json:"problems"`
	// Sealed are the kinds whose contents were not looked at, for want of a key.
	Sealed []artifact.Kind `json:"sealed,omitempty"`
	// Origin is what signatures say; of no use if OK is false.
	Origin origin `json:"origin"`
	// Programs are where a program beside it is damaged, or none of ours.
	Programs []string `json:"wrong_programs,omitempty"`
	// Volumes are those of a snapshot on several.
	Volumes []volumeVerification `json:"volumes,omitempty"`
}

type volumeVerification struct {
	Number   int      `json:"number"`
	Label    string   `json:"label"`
	Path     string   `json:"path"` // "" if it is not here
	Blobs    int      `json:"blobs"`
	Problems []string `json:"problems"`
}

func (v verdict) document(s *source) verification {
	d := verification{
		Reference: s.place.String(), Digest: s.Descriptor.Digest.String(), OK: !v.damaged() && !v.partial() && !v.origin.Failed, Origin: v.origin,
		Blobs: v.report.Blobs, Bytes: v.report.Bytes, Entries: v.report.Entries, Problems: []string{}, Programs: v.programs,
		Sealed: v.report.Sealed,
	}
	for _, problem := range v.report.Problems {
		d.Problems = append(d.Problems, problem.Error())
	}
	for _, one := range v.volumes {
		volume := volumeVerification{Number: one.Number, Label: one.Label, Path: one.Path, Blobs: one.Blobs, Problems: []string{}}
		for _, problem := range one.Problems {
			volume.Problems = append(volume.Problems, problem.Error())
		}
		d.Volumes = append(d.Volumes, volume)
	}
	return d
}

func (p *printer) verified(s *source, v verdict) {
	p.line("%s", s.Config.Title())
	p.line("  digest  %s", s.Descriptor.Digest)
	p.volumes(v.volumes)
	switch r := v.report; {
	case len(r.Problems) > 0:
		p.line("  DAMAGED %s:", count(int64(len(r.Problems)), "problem", "problems"))
		for _, problem := range r.Problems {
			p.line("\n  kind %s, part %d of %d: %s", problem.Kind, problem.Part, problem.Parts, problem.Holds)
			p.line("    blob  %s", problem.Blob)
			p.line("    cause %v", problem.Err)
		}
	case r.Blobs > 0:
		what := "every digest, every layer, every file"
		if len(r.Sealed) > 0 {
			what = "every digest, every file that is not sealed"
		}
		p.line("  good    %s in %s: %s", count(r.Entries, "file", "files"), count(int64(r.Blobs), "blob", "blobs"), what)
		p.line("          %s read", size(r.Bytes))
		if len(r.Sealed) > 0 {
			p.line("  sealed  %s: as written,", kindList(r.Sealed))
			p.line("          not looked into; to do that: --identity FILE")
		}
	}
	p.origin(v.origin)
	for _, program := range v.programs {
		p.line("  WRONG   %s: damaged, or not written by xcrate", escape(program))
		p.line("          do not run it; export or copy there again to mend it")
	}
	if v.damaged() {
		p.line("\nDo not import it. Copy or export it again; other snapshots here may be good:")
		p.line("xcrate list %s", s.place.at())
	}
}

// volumes says which volumes are good, damaged, or not here.
func (p *printer) volumes(all []layout.VolumeReport) {
	for _, v := range all {
		name := layout.MissingVolume{Number: v.Number, Of: len(all), Label: v.Label}.String()
		switch {
		case v.Path == "":
			p.line("  MISSING %s, not looked at", name)
		case len(v.Problems) == 0:
			p.line("  good    %s: %s", name, count(int64(v.Blobs), "blob", "blobs"))
		default:
			p.line("  DAMAGED %s, at %s:", name, v.Path)
			for _, problem := range v.Problems {
				p.wrap("          ", problem.Error())
			}
		}
	}
}
