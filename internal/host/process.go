package host

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Process is a process of this machine.
type Process struct {
	ID   int
	Args []string // of its command line, the program first
}

// Processes lists those whose root directory is r, other than this one. Processes
// that end meanwhile are not listed, nor are those of the kernel, which have no
// command line, nor those this one may not look at.
func Processes(r *Root) ([]Process, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("processes: %w", err)
	}
	var all []Process
	for _, e := range entries {
		id, err := strconv.Atoi(e.Name())
		if err != nil || id == os.Getpid() {
			continue
		}
		p, ours, err := process(r, id)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) || errors.Is(err, fs.ErrPermission) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("process %d: %w", id, err)
		}
		if ours {
			all = append(all, p)
		}
	}
	return all, nil
}

func process(r *Root, id int) (p Process, ours bool, err error) {
	dir := "/proc/" + strconv.Itoa(id)
	var top, has Stat
	if err := unix.Stat(r.Dir(), &top.Stat_t); err != nil {
		return p, false, err
	}
	if err := unix.Stat(dir+"/root", &has.Stat_t); err != nil {
		return p, false, err
	}
	if has.Inode() != top.Inode() {
		return p, false, nil
	}
	line, err := os.ReadFile(dir + "/cmdline")
	if err != nil || len(line) == 0 {
		return p, false, err
	}
	p.ID = id
	for arg := range bytes.SplitSeq(bytes.TrimSuffix(line, []byte{0}), []byte{0}) {
		p.Args = append(p.Args, string(arg))
	}
	return p, true, nil
}

// Signal sends the process a signal. That it has ended is no error.
func (p Process) Signal(s unix.Signal) error {
	if err := unix.Kill(p.ID, s); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("process %d: %w", p.ID, err)
	}
	return nil
}
