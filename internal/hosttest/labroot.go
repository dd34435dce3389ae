package hosttest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// labRoot is a kind of root that testdata/lab makes: the root it begins as, the
// packages it has beside that, and the script that gives it its identity.
type labRoot struct {
	name     string
	packages []string
	script   string
	base     *labRoot // nil is the base system, which takes longest
}

// ELRoot returns the path of a fresh root directory with the identity of an EL
// 9 clone, in which rpm and dnf really work: Debian's programs, EL's paths,
// names and rpm database (testdata/lab). The root of every test is a copy of
// one that is built once and kept in $XCRATE_TEST_CACHE, by default
// xcrate-test-cache in the directory for temporary files.
//
// It needs root, debootstrap, rpmbuild and createrepo_c; without them the test
// is skipped, or fails where CI=true or XCRATE_TEST_ALL=1 is set.
func ELRoot(t testing.TB) string {
	t.Helper()
	return freshRoot(t, labRoot{name: "elroot", packages: []string{"rpm", "dnf"}, script: "mkel"})
}

// SLESRoot is as ELRoot, with the identity of a SLES 15 and zypper.
func SLESRoot(t testing.TB) string {
	t.Helper()
	return freshRoot(t, labRoot{name: "slesroot", packages: []string{"rpm", "zypper"}, script: "mksles"})
}

// DebianRoot is as ELRoot, but plain Debian with apt. Its sources are those of
// this machine.
func DebianRoot(t testing.TB) string {
	t.Helper()
	return freshRoot(t, labRoot{name: "debroot"})
}

// freshRoot copies the root of a kind for a test.
func freshRoot(t testing.TB, kind labRoot) string {
	t.Helper()
	if os.Geteuid() != 0 {
		missLabRoot(t, "run it as root")
	}
	for _, tool := range []string{"debootstrap", "rpmbuild", "createrepo_c"} {
		if _, err := exec.LookPath(tool); err != nil {
			missLabRoot(t, "apt-get install debootstrap rpm createrepo-c")
		}
	}
	built, err := builtRoot(kind)
	if err != nil {
		t.Fatalf("lab root: %v", err)
	}
	dir := filepath.Join(t.TempDir(), "root")
	if err := labCommand("cp", "-a", "--reflink=auto", built, dir); err != nil {
		t.Fatalf("lab root: %v", err)
	}
	return dir
}

func missLabRoot(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" || os.Getenv("XCRATE_TEST_ALL") == "1" {
		t.Fatalf("lab root: %s", what)
	}
	t.Skipf("lab root: %s", what)
}

// builtRoot returns the cached root, built first if there is none made by
// the scripts as they are now. Of several test processes one builds, the
// others wait; what an interrupted build left never gets the final name.
func builtRoot(kind labRoot) (string, error) {
	lab, err := labScripts()
	if err != nil {
		return "", err
	}
	cache := os.Getenv("XCRATE_TEST_CACHE")
	if cache == "" {
		cache = filepath.Join(os.TempDir(), "xcrate-test-cache")
	}
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return "", err
	}
	// Root runs commands out of what lies there, so it must be nobody else's.
	var st unix.Stat_t
	if err := unix.Stat(cache, &st); err != nil || int(st.Uid) != os.Geteuid() || st.Mode&0o022 != 0 {
		return "", fmt.Errorf("directory %s: owner %d, mode %o: it must be yours alone (%w)", cache, st.Uid, st.Mode&0o7777, errors.Join(err, os.ErrPermission))
	}
	lock, err := os.OpenFile(filepath.Join(cache, "labroot.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", err
	}
	defer func() { _ = lock.Close() }()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	return labBuilder{lab: lab, cache: cache, lock: lock}.root(kind)
}

// labBuilder makes roots in a cache it holds the lock of.
type labBuilder struct {
	lab, cache string
	lock       *os.File
}

// root returns the root of a kind, after the roots it begins as.
func (b labBuilder) root(kind labRoot) (string, error) {
	base := ""
	if kind.script != "" {
		from := labRoot{name: "debroot"}
		if kind.base != nil {
			from = *kind.base
		}
		var err error
		if base, err = b.root(from); err != nil {
			return "", err
		}
	}
	return b.make(kind, base)
}

// make returns the root of a kind, made out of a copy of base, or of nothing
// if that is "".
func (b labBuilder) make(kind labRoot, base string) (string, error) {
	key, err := b.key(kind, filepath.Base(base))
	if err != nil {
		return "", err
	}
	final := filepath.Join(b.cache, kind.name+"-"+key)
	if _, err := os.Stat(final); !errors.Is(err, os.ErrNotExist) {
		return final, err
	}
	building := filepath.Join(b.cache, kind.name+".building")
	if err := os.RemoveAll(building); err != nil {
		return "", err
	}
	if base != "" {
		if err := labCommand("cp", "-a", "--reflink=auto", base, building); err != nil {
			return "", err
		}
	}
	commands := [][]string{append([]string{filepath.Join(b.lab, "mkroot"), building}, kind.packages...)}
	if kind.script != "" {
		commands = append(commands, []string{filepath.Join(b.lab, kind.script), building})
	}
	for _, command := range commands {
		if err := b.run(command); err != nil {
			return "", err
		}
	}
	return final, os.Rename(building, final)
}

// key names the root of a kind by what it is made with and of.
func (b labBuilder) key(kind labRoot, base string) (string, error) {
	sum := sha256.New()
	scripts := []string{"mkroot"}
	if kind.script != "" {
		scripts = append(scripts, "mkpkg", kind.script)
	}
	for _, script := range scripts {
		text, err := os.ReadFile(filepath.Join(b.lab, script))
		if err != nil {
			return "", err
		}
		_, _ = sum.Write(text)
	}
	_, _ = fmt.Fprint(sum, kind.packages)
	if kind.base != nil {
		_, _ = fmt.Fprint(sum, base)
	}
	return fmt.Sprintf("%x", sum.Sum(nil)[:8]), nil
}

// labScripts finds the scripts from wherever in the module a test runs.
func labScripts() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "go.mod")); err == nil {
			return filepath.Join(at, "testdata", "lab"), nil
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("no go.mod above %s", dir)
		}
	}
}

// run runs a script with its mounts in a namespace of its own: whatever
// ends it, the root stays one that can be removed. The script holds the lock
// too, so it keeps others waiting if only the test is killed.
func (b labBuilder) run(command []string) error {
	cmd := exec.Command("unshare", append([]string{"--mount", "--"}, command...)...)
	cmd.ExtraFiles = []*os.File{b.lock}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%q: %w: %s", command, err, bytes.TrimSpace(out))
	}
	return nil
}

func labCommand(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %q: %w: %s", name, args, err, bytes.TrimSpace(out))
	}
	return nil
}
