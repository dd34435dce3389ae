package host

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/artifact"
)

// UnknownDistro is the distro id of a root that has no os-release.
const UnknownDistro = "unknown"

const maxFactFile = 1 << 20

// ReadFacts returns what the root says about its host. Addresses and NICs are
// known of the running machine only.
func ReadFacts(r *Root) (artifact.Host, error) {
	h := artifact.Host{Arch: arch(r)}
	var err error
	if h.Distro, err = readDistro(r); err != nil {
		return h, err
	}
	if h.Name, err = hostName(r); err != nil {
		return h, err
	}
	if h.FQDN, err = fqdn(r, h.Name); err != nil {
		return h, err
	}
	h.Name, _, _ = strings.Cut(h.Name, ".")
	if r.IsLive() {
		h.Addresses, h.NICs, err = addresses()
	}
	return h, err
}

// readDistro reads os-release(5) from the two places it may be in.
func readDistro(r *Root) (artifact.Distro, error) {
	for _, p := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		b, err := r.ReadFile(p, maxFactFile)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return artifact.Distro{}, fmt.Errorf("os-release: %w", err)
		}
		v := shellVars(b)
		d := artifact.Distro{ID: v["ID"], Like: v["ID_LIKE"], Version: v["VERSION_ID"], Codename: v["VERSION_CODENAME"], Name: v["PRETTY_NAME"]}
		if d.ID == "" {
			return d, fmt.Errorf("os-release: %s has no ID", r.Path(p))
		}
		return d, nil
	}
	return artifact.Distro{ID: UnknownDistro}, nil
}

// shellVars reads KEY=value lines as os-release(5) has them.
func shellVars(b []byte) map[string]string {
	v := map[string]string{}
	for line := range strings.Lines(string(b)) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || strings.HasPrefix(key, "#") {
			continue
		}
		if len(value) > 1 && (value[0] == '"' || value[0] == '\'') && value[len(value)-1] == value[0] {
			value = value[1 : len(value)-1]
		}
		v[key] = strings.NewReplacer(`\"`, `"`, `\$`, `$`, "\\`", "`", `\\`, `\`).Replace(value)
	}
	return v
}

func hostName(r *Root) (string, error) {
	if r.IsLive() {
		return os.Hostname()
	}
	b, err := r.ReadFile("/etc/hostname", maxFactFile)
	if errors.Is(err, fs.ErrNotExist) {
		return "localhost", nil
	}
	if err != nil {
		return "", fmt.Errorf("host name: %w", err)
	}
	for line := range strings.Lines(string(b)) { // hostname(5): comments and blank lines are ignored
		if name := strings.TrimSpace(line); name != "" && !strings.HasPrefix(name, "#") {
			return name, nil
		}
	}
	return "localhost", nil
}

// fqdn returns the name with a domain that /etc/hosts has for name.
func fqdn(r *Root, name string) (string, error) {
	if strings.Contains(name, ".") {
		return name, nil
	}
	b, err := r.ReadFile("/etc/hosts", maxAccountFile)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("host name: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		line, _, _ = strings.Cut(line, "#")
		names := strings.Fields(line)
		if len(names) < 2 || !slices.Contains(names[1:], name) {
			continue
		}
		for _, n := range names[1:] {
			if strings.HasPrefix(n, name+".") {
				return n, nil
			}
		}
	}
	return "", nil
}

// machines maps ELF machines to what rpm calls them.
var machines = map[elf.Machine]string{
	elf.EM_X86_64: "x86_64", elf.EM_386: "i686", elf.EM_AARCH64: "aarch64", elf.EM_S390: "s390x", elf.EM_RISCV: "riscv64",
}

// arch tells the root's architecture from a program every distro has, because
// a dead disk may sit in a machine of another kind. Without one it is assumed
// to be that of the machine we run on.
func arch(r *Root) string {
	for _, p := range []string{"/usr/bin/bash", "/bin/sh", "/usr/lib/systemd/systemd", "/usr/bin/true"} {
		if a := elfArch(r, p); a != "" {
			return a
		}
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "unknown"
	}
	name, _, _ := bytes.Cut(u.Machine[:], []byte{0})
	return string(name)
}

func elfArch(r *Root, p string) string {
	b, err := r.ReadFile(p, maxProgram)
	if err != nil || len(b) < 20 || string(b[:4]) != elf.ELFMAG {
		return ""
	}
	little := b[elf.EI_DATA] == byte(elf.ELFDATA2LSB)
	m := elf.Machine(uint16(b[18])<<8 | uint16(b[19]))
	if little {
		m = elf.Machine(uint16(b[19])<<8 | uint16(b[18]))
	}
	if m == elf.EM_PPC64 {
		if little {
			return "ppc64le"
		}
		return "ppc64"
	}
	return machines[m]
}

const maxProgram = 64 << 20

func addresses() (addrs, nics []string, err error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, nil, fmt.Errorf("network interfaces: %w", err)
	}
	for _, i := range all {
		if i.Flags&net.FlagLoopback != 0 {
			continue
		}
		nics = append(nics, i.Name)
		own, err := i.Addrs()
		if err != nil {
			return nil, nil, fmt.Errorf("network interface %s: %w", i.Name, err)
		}
		for _, a := range own {
			addrs = append(addrs, a.String())
		}
	}
	slices.Sort(nics)
	slices.Sort(addrs)
	return addrs, nics, nil
}

// Aliases returns the names the host is known by: its own, and those that stand
// in a line of /etc/hosts with one of its names or addresses.
func Aliases(r *Root, h artifact.Host) []string {
	own := []string{h.Name, h.FQDN}
	for _, a := range h.Addresses {
		address, _, _ := strings.Cut(a, "/")
		own = append(own, address)
	}
	own = slices.DeleteFunc(own, func(s string) bool { return s == "" })
	b, err := r.ReadFile("/etc/hosts", maxAccountFile)
	if err != nil {
		return own
	}
	all := slices.Clone(own)
	for line := range strings.Lines(string(b)) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if slices.ContainsFunc(words, func(w string) bool { return slices.Contains(own, w) }) {
			all = append(all, words...)
		}
	}
	return all
}
