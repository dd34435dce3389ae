package hosttest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// DatabaseRoot is as ELRoot, but plain Debian with the servers of PostgreSQL
// and MariaDB as their packages leave them: clusters made, nothing started,
// /run empty. Its servers are to be stopped before the test ends.
//
// The files below /usr are links to those of the root it is copied from, for they
// are most of it and no server writes there: a test may rename, remove or replace
// one, and must not write into it.
func DatabaseRoot(t testing.TB) string {
	t.Helper()
	if os.Geteuid() != 0 {
		missLabRoot(t, "run it as root")
	}
	if _, err := exec.LookPath("debootstrap"); err != nil {
		missLabRoot(t, "apt-get install debootstrap")
	}
	built, err := builtRoot(databaseRoot())
	if err != nil {
		t.Fatalf("lab root: %v", err)
	}
	dir := filepath.Join(t.TempDir(), "root")
	if err := copyLinked(built, dir); err != nil {
		t.Fatalf("lab root: %v", err)
	}
	return dir
}

func databaseRoot() labRoot {
	return labRoot{name: "dbroot", packages: []string{"postgresql", "mariadb-server"}, script: "mkdb"}
}

// copyLinked copies a root, its /usr by links where the filesystem is the same.
func copyLinked(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	if err := os.Mkdir(to, 0o755); err != nil {
		return err
	}
	if err := os.Chmod(to, 0o755); err != nil { // a test may run under the umask of the program
		return err
	}
	for _, e := range entries {
		source := filepath.Join(from, e.Name())
		if e.Name() == "usr" && exec.Command("cp", "-al", source, to).Run() == nil {
			continue
		}
		if out, err := exec.Command("cp", "-a", "--reflink=auto", source, to).CombinedOutput(); err != nil {
			return fmt.Errorf("cp -a %s: %w: %s", source, err, out)
		}
	}
	return nil
}
