package main

import (
	"context"
	"debug/buildinfo"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"runtime/debug"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/pflag"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/layout"
)

// toolOptions say which program goes along with a snapshot, so that a machine without
// one can put it back.
type toolOptions struct {
	file string // "" for this program itself
	none bool
}

func (o *toolOptions) flags(f *pflag.FlagSet) {
	f.StringVar(&o.file, "tool", "", "take along the program in `FILE`, not this one\n(for a node of another architecture)")
	f.BoolVar(&o.none, "no-tool", false, "take no program along")
}

func (o *toolOptions) check() error {
	if o.none && o.file != "" {
		return usage(errors.New("--no-tool with --tool"), "leave one out")
	}
	return nil
}

// errTool says that a program is none that can go along.
var errTool = errors.New("cannot go along")

// machines are the architectures of ELF, as uname names them.
func machines() map[string]elf.Machine {
	return map[string]elf.Machine{
		"x86_64": elf.EM_X86_64, "aarch64": elf.EM_AARCH64, "ppc64le": elf.EM_PPC64, "ppc64": elf.EM_PPC64,
		"i686": elf.EM_386, "s390x": elf.EM_S390, "riscv64": elf.EM_RISCV,
	}
}

// addTool stores the program as a layer for a node of architecture arch, and returns
// it with what it was built of; nil if there is none to take along.
func (a *app) addTool(ctx context.Context, w *layout.Writer, arch string, o toolOptions) (_ []ocispec.Descriptor, built *debug.BuildInfo, err error) {
	file := o.file
	if file == "" {
		file = a.program
	}
	if o.none || file == "" {
		return nil, nil, nil
	}
	f, closeAll, err := openFile(file)
	if err == nil {
		defer func() { err = errors.Join(err, closeAll()) }()
		err = checkTool(f, arch)
	}
	switch {
	case errors.Is(err, errTool) && o.file == "":
		a.note("program %s: %v; another one: --tool FILE", file, err)
		return nil, nil, nil
	case err != nil:
		return nil, nil, fmt.Errorf("program %s: %w", file, err)
	}
	desc, err := w.PutBlob(ctx, artifact.TypeTool, func(to io.Writer) error {
		_, err := io.Copy(to, f)
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("program %s: %w", file, err)
	}
	if built, err = buildinfo.Read(f); err != nil {
		built = nil // made by another compiler: what of is not known
	}
	return []ocispec.Descriptor{artifact.LayerDescriptor(desc, artifact.KindTool, 1, 1)}, built, nil
}

// checkTool makes sure that a program runs on any machine of architecture arch.
func checkTool(f io.ReaderAt, arch string) error {
	program, err := elf.NewFile(f)
	if err != nil {
		return fmt.Errorf("%w: %w", errTool, err)
	}
	if want, known := machines()[arch]; !known || program.Machine != want {
		return fmt.Errorf("%w: it is for %v, the node is %s", errTool, program.Machine, arch)
	}
	for _, p := range program.Progs {
		if p.Type == elf.PT_INTERP {
			return fmt.Errorf("%w: it needs libraries of this machine", errTool)
		}
	}
	return nil
}
