package main

import (
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/xcrate/xcrate/artifact"
)

// What a snapshot says of itself is nothing that a shell runs.
func TestCompanionsOfAHostileSnapshot(t *testing.T) {
	tool := artifact.LayerDescriptor(ocispec.Descriptor{MediaType: artifact.TypeTool, Digest: digest.FromString("x"), Size: 1}, artifact.KindTool, 1, 1)
	snapshot := func(arch string) *artifact.Snapshot {
		s := &artifact.Snapshot{Manifest: ocispec.Manifest{Layers: []ocispec.Descriptor{tool}}}
		s.Descriptor.Digest = digest.FromString("y")
		s.Config.Host.Arch, s.Config.Host.Name = arch, "evil\x1b[2J"
		return s
	}
	for arch, script := range map[string]bool{"x86_64": true, "x86_64'\nreboot\n'": false, "$(reboot)": false, "": false} {
		list, err := companions(snapshot(arch), []string{"v1"}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, c := range list {
			found = found || c.Name == "RESTORE.sh"
			if strings.Contains(string(c.Content), "\x1b") || c.Name == "RESTORE.sh" && strings.Contains(string(c.Content), "reboot") {
				t.Errorf("architecture %q: %s:\n%s", arch, c.Name, c.Content)
			}
		}
		if found != script {
			t.Errorf("architecture %q: RESTORE.sh %v", arch, found)
		}
	}
}
