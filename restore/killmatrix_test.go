package restore

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// killedRoot names in the environment the root that TestImportToBeKilled imports into.
const killedRoot = "XCRATE_KILLED_ROOT"

// TestImportToBeKilled is the process that TestKillMatrix kills. In a usual run it has
// nothing to do.
func TestImportToBeKilled(t *testing.T) {
	root := os.Getenv(killedRoot)
	if root == "" {
		return
	}
	f := packageFixture(t)
	o, _ := f.scripted(t, root)
	// So that a record is seen before the next is written.
	o.fault = func() error {
		time.Sleep(4 * time.Millisecond)
		return nil
	}
	_, err := Apply(t.Context(), f.m, f.s, o, yes)
	check(t, err)
}

// TestKillMatrix kills the process of an import at every record of its journal. Finished
// with a resume it ends like one that nothing disturbed, and rolled back like none, also
// after it was finished.
func TestKillMatrix(t *testing.T) {
	f, undisturbed := packageFixture(t), packageRoot(t)
	o, _ := f.scripted(t, undisturbed)
	_, err := Apply(t.Context(), f.m, f.s, o, yes)
	check(t, err)
	records := journalRecords(undisturbed)
	if records < 40 {
		t.Fatalf("%d records", records)
	}
	for n := 1; n <= records; n++ {
		for i, way := range []string{"resume", "rollback"} {
			if n > 1 && n < records && n%2 == i {
				continue // each record once: the other way has its neighbours
			}
			t.Run(fmt.Sprintf("%s at %d of %d", way, n, records), func(t *testing.T) {
				t.Parallel()
				root := packageRoot(t)
				before := treeOf(t, root)
				if killAtRecord(t, root, n) {
					t.Logf("killed after %d records", journalRecords(root))
				}
				o, _ := f.scripted(t, root)
				one, err := unfinished(t.Context(), o)
				check(t, err)
				if way == "resume" && one != nil {
					f.resume(t, o)
					sameButClock(t, undisturbed, root)
				}
				o, _ = f.scripted(t, root)
				_, err = RollBack(t.Context(), o, "", always)
				if err != nil && !errors.Is(err, ErrNoImport) {
					t.Fatal(err)
				}
				diff(t, "rolled back", before, treeOf(t, root))
			})
		}
	}
}

// journalRecords counts the records of the only import of root.
func journalRecords(root string) int {
	found, err := filepath.Glob(filepath.Join(root, StateDir, "*", journalFile))
	if err != nil || len(found) != 1 {
		return 0
	}
	b, err := os.ReadFile(found[0])
	if err != nil {
		return 0 // it is taken back just now
	}
	return bytes.Count(b, []byte("\n"))
}

// killAtRecord has a process of its own import into root, and kills it once its
// journal has n records. It reports whether it did not end before.
func killAtRecord(t *testing.T, root string, n int) (killed bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestImportToBeKilled$")
	cmd.Env = append(os.Environ(), killedRoot+"="+root, "TMPDIR="+t.TempDir()) // which it leaves behind
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	check(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("the import ended by itself: %v\n%s", err, &said)
			}
			return false
		case <-time.After(500 * time.Microsecond):
		}
		if journalRecords(root) < n {
			continue
		}
		if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err) // it may end just now
		}
		err := <-ended
		status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
		if !ok || !status.Signaled() && err != nil {
			t.Fatalf("%v\n%s", err, &said)
		}
		return status.Signaled()
	}
}
