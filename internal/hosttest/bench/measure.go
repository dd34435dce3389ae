package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// cost is what one run took. CPU time is user and system time of the program and
// all it started; peak is the largest resident set of any one of them in bytes.
type cost struct {
	wall, cpu time.Duration
	peak      int64
}

// measure runs s. Only s.argv is on the clock.
func (w workshop) measure(ctx context.Context, s step) (cost, error) {
	if err := w.clear(s.remove); err != nil {
		return cost{}, err
	}
	if s.before != nil {
		if _, err := w.clock(ctx, s.before); err != nil {
			return cost{}, err
		}
	}
	// What others wrote is not this program's to wait for.
	unix.Sync()
	return w.clock(ctx, s.argv)
}

// clear makes room for what a step makes. On a disk what is there is put aside
// until all is over: ext4 looks long for inodes that were not freed a moment ago,
// and that would be counted as the next program's time.
func (w workshop) clear(path string) error {
	if path == "" {
		return nil
	}
	if w.filesystem == "tmpfs" {
		return os.RemoveAll(path)
	}
	aside, err := os.MkdirTemp(w.dir, "old-")
	if err != nil {
		return err
	}
	if err := os.Rename(path, filepath.Join(aside, "old")); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// clock runs a program. Exit code 3 is xcrate's "done with warnings": the sample
// lacks files on purpose.
func (w workshop) clock(ctx context.Context, argv []string) (cost, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "RESTIC_PASSWORD=x", "TMPDIR="+w.dir)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	begun := time.Now()
	err := cmd.Run()
	wall := time.Since(begun)
	if failed := (*exec.ExitError)(nil); errors.As(err, &failed) && failed.ExitCode() == 3 && argv[0] == w.xcrate {
		err = nil
	}
	if err != nil {
		return cost{}, fmt.Errorf("%q: %w: %s", argv, err, stderr.Bytes())
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return cost{}, fmt.Errorf("%q: the system tells no resource usage", argv)
	}
	// Linux counts ru_maxrss in KiB. It begins with what this program has, which
	// is why the trees are made by another.
	return cost{wall: wall, cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), peak: usage.Maxrss << 10}, nil
}

// best and median are those of the wall time, and of the CPU time by itself.
func best(all []cost, of func(cost) time.Duration) time.Duration {
	return of(slices.MinFunc(all, func(a, b cost) int { return int(of(a) - of(b)) }))
}

func median(all []cost, of func(cost) time.Duration) time.Duration {
	sorted := slices.SortedFunc(slices.Values(all), func(a, b cost) int { return int(of(a) - of(b)) })
	return of(sorted[len(sorted)/2])
}

func wall(c cost) time.Duration { return c.wall }
func cpu(c cost) time.Duration  { return c.cpu }

// peak is the most memory of all runs, in bytes.
func peak(all []cost) int64 {
	return slices.MaxFunc(all, func(a, b cost) int { return int(a.peak - b.peak) }).peak
}

func progress(format string, args ...any) {
	_, _ = fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...)
}
