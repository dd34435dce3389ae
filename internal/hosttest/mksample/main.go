// Command mksample makes the sample management node in a directory, to look at
// or to try xcrate on:
//
//	go run ./internal/hosttest/mksample [-nodes N] [-base] [-single-owner] DIR
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/xcrate/xcrate/internal/hosttest"
)

func main() {
	var o hosttest.SampleOptions
	flag.IntVar(&o.Nodes, "nodes", 300, "number of managed nodes")
	flag.Uint64Var(&o.Seed, "seed", 0, "chooses the random content")
	flag.IntVar(&o.InstallFiles, "install-files", 0, "extra files below /install/custom/bulk")
	flag.Int64Var(&o.InstallBytes, "install-bytes", 0, "bytes in the extra files together")
	flag.BoolVar(&o.SingleOwner, "single-owner", os.Geteuid() != 0, "one owner for all, no device nodes: works without root")
	base := flag.Bool("base", false, "make a fresh distro install without xCAT instead")
	flag.Usage = func() {
		_, _ = fmt.Fprintln(flag.CommandLine.Output(), "usage: mksample [flags] DIR   (DIR is empty or does not exist)")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(flag.Arg(0), *base, o); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "mksample:", err)
		os.Exit(1)
	}
}

func run(dir string, base bool, o hosttest.SampleOptions) error {
	if base {
		return hosttest.BaseRoot(dir)
	}
	return hosttest.SampleMN(dir, o)
}
