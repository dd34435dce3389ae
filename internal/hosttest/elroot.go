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

// elPackages are what the root of ELRoot has beside a base system.
var elPackages = []string{"rpm", "dnf"}

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
	if os.Geteuid() != 0 {
		missELRoot(t, "run it as root")
	}
	for _, tool := range []string{"debootstrap", "rpmbuild", "createrepo_c"} {
		if _, err := exec.LookPath(tool); err != nil {
			missELRoot(t, "apt-get install debootstrap rpm createrepo-c")
		}
	}
	built, err := builtELRoot()
	if err != nil {
		t.Fatalf("EL root: %v", err)
	}
	dir := filepath.Join(t.TempDir(), "root")
	if err := elCommand("cp", "-a", "--reflink=auto", built, dir); err != nil {
		t.Fatalf("EL root: %v", err)
	}
	return dir
}

func missELRoot(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" || os.Getenv("XCRATE_TEST_ALL") == "1" {
		t.Fatalf("EL root: %s", what)
	}
	t.Skipf("EL root: %s", what)
}

// builtELRoot returns the cached root, built first if there is none made by
// the scripts as they are now. Of several test processes one builds, the
// others wait; what an interrupted build left never gets the final name.
func builtELRoot() (string, error) {
	scripts, err := labScripts()
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
	lock, err := os.OpenFile(filepath.Join(cache, "elroot.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", err
	}
	defer func() { _ = lock.Close() }()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	key, err := elKey(scripts)
	if err != nil {
		return "", err
	}
	final := filepath.Join(cache, "elroot-"+key)
	if _, err := os.Stat(final); !errors.Is(err, os.ErrNotExist) {
		return final, err
	}
	building := filepath.Join(cache, "elroot.building")
	if err := os.RemoveAll(building); err != nil {
		return "", err
	}
	for _, command := range [][]string{append([]string{scripts[0], building}, elPackages...), {scripts[1], building}} {
		if err := elBuild(lock, command); err != nil {
			return "", err
		}
	}
	return final, os.Rename(building, final)
}

// elKey names the root by what it is made with.
func elKey(scripts []string) (string, error) {
	sum := sha256.New()
	for _, p := range scripts {
		b, err := os.ReadFile(p)
		if err != nil {
			return "", err
		}
		_, _ = sum.Write(b)
	}
	_, _ = fmt.Fprint(sum, elPackages)
	return fmt.Sprintf("%x", sum.Sum(nil)[:8]), nil
}

// labScripts finds mkroot and mkel from wherever in the module a test runs.
func labScripts() ([]string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "go.mod")); err == nil {
			lab := filepath.Join(at, "testdata", "lab")
			return []string{filepath.Join(lab, "mkroot"), filepath.Join(lab, "mkel")}, nil
		}
		if at == filepath.Dir(at) {
			return nil, fmt.Errorf("no go.mod above %s", dir)
		}
	}
}

// elBuild runs a script with its mounts in a namespace of its own: whatever
// ends it, the root stays one that can be removed. The script holds the lock
// too, so it keeps others waiting if only the test is killed.
func elBuild(lock *os.File, command []string) error {
	cmd := exec.Command("unshare", append([]string{"--mount", "--"}, command...)...)
	cmd.ExtraFiles = []*os.File{lock}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%q: %w: %s", command, err, bytes.TrimSpace(out))
	}
	return nil
}

func elCommand(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %q: %w: %s", name, args, err, bytes.TrimSpace(out))
	}
	return nil
}
