// Command bench measures xcrate side by side with what people use instead: tar
// with zstd, restic, openssl. It makes the trees, runs everything in turn, prints
// a table and writes docs/performance.md from the same figures:
//
//	make bench [FILES=N] [BYTES=N] [MANY=N] [ROUNDS=N] [PLACES=DIR,DIR]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"
)

// options are the command line.
type options struct {
	xcrate, mksample string
	files            int
	bytes            int64
	many             int // files of the tree for peak memory, 0 for none
	rounds           int
	places           []string // directories to work in, each on a filesystem of its own
	page             string
}

func main() {
	var o options
	flag.StringVar(&o.xcrate, "xcrate", "bin/xcrate", "program to measure")
	flag.StringVar(&o.mksample, "mksample", "bin/mksample", "program that makes the trees")
	flag.IntVar(&o.files, "files", 35_000, "files of the tree")
	flag.Int64Var(&o.bytes, "bytes", 1<<30, "bytes of the tree")
	flag.IntVar(&o.many, "many", 1_000_000, "files of the tree of 4 KiB files that memory is measured with, 0 for none")
	flag.IntVar(&o.rounds, "rounds", 3, "how often everything is measured")
	places := flag.String("places", "/dev/shm,.", "directories to work in")
	flag.StringVar(&o.page, "page", "docs/performance.md", "page to write, none if empty")
	flag.Parse()
	o.places = strings.Split(*places, ",")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("owners are part of what is measured: run it as root")
	}
	if o.files < 1 || o.rounds < 1 {
		return fmt.Errorf("%d files, %d rounds: at least one of each", o.files, o.rounds)
	}
	r := report{options: o, at: time.Now().UTC()}
	var err error
	if r.machine, err = readMachine(ctx, o); err != nil {
		return err
	}
	for _, dir := range o.places {
		p, err := measurePlace(ctx, dir, o)
		if err != nil {
			return fmt.Errorf("place %s: %w", dir, err)
		}
		r.places = append(r.places, p)
	}
	if o.many > 0 {
		// The last place: the tree is larger than many a machine's memory.
		if r.many, err = measureMany(ctx, o.places[len(o.places)-1], o); err != nil {
			return fmt.Errorf("%d files: %w", o.many, err)
		}
	}
	if err := r.print(os.Stdout); err != nil {
		return err
	}
	if o.page == "" {
		return nil
	}
	return r.writePage(o.page)
}
