package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// machine is where the figures come from.
type machine struct {
	name, cpu, kernel string
	cores             int
	memory            uint64 // bytes
	versions          []string
}

func readMachine(ctx context.Context, o options) (machine, error) {
	m := machine{cores: runtime.NumCPU()}
	var err error
	if m.name, err = os.Hostname(); err != nil {
		return m, err
	}
	var u unix.Utsname
	var s unix.Sysinfo_t
	if err := unix.Uname(&u); err != nil {
		return m, err
	}
	if err := unix.Sysinfo(&s); err != nil {
		return m, err
	}
	m.kernel, m.memory = unix.ByteSliceToString(u.Release[:]), s.Totalram*uint64(s.Unit)
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return m, err
	}
	for line := range strings.Lines(string(info)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			m.cpu = strings.TrimSpace(value)
		}
	}
	for _, argv := range [][]string{
		{o.xcrate, "--version"},
		{"tar", "--version"},
		{"zstd", "--version"},
		{"sha256sum", "--version"},
		{"restic", "version"},
		{"openssl", "version"},
	} {
		out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).Output()
		if err != nil {
			return m, fmt.Errorf("%q: %w", argv, err)
		}
		first, _, _ := strings.Cut(string(out), "\n")
		m.versions = append(m.versions, strings.Trim(first, "* "))
	}
	return m, nil
}

// filesystem is the type of the filesystem dir lies on, by its magic number as
// statfs(2) lists them.
func filesystem(dir string) string {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return err.Error()
	}
	switch fs.Type {
	case unix.TMPFS_MAGIC:
		return "tmpfs"
	case unix.EXT4_SUPER_MAGIC:
		return "ext4"
	case unix.XFS_SUPER_MAGIC:
		return "xfs"
	case unix.BTRFS_SUPER_MAGIC:
		return "btrfs"
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "overlayfs"
	default:
		return fmt.Sprintf("filesystem %#x", fs.Type)
	}
}
