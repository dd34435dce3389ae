package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/rpmpack"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/xcrate/xcrate/internal/hosttest"
)

// TestMain makes the test binary the commands that scripts call.
func TestMain(m *testing.M) {
	testscript.Main(cached{m}, map[string]func(){
		// The program two minutes later, when the times of files can be believed.
		"later": func() {
			a := scriptApp()
			a.now = func() time.Time { return time.Now().Add(2 * time.Minute) }
			os.Exit(a.run(os.Args))
		},
		"xcrate":       func() { os.Exit(scriptApp().run(os.Args)) },
		"xcatimport":   func() { os.Exit(scriptApp().run(os.Args)) },
		"samplemn":     func() { end(sampleMN(os.Args[1:])) },
		"baseroot":     func() { end(hosttest.BaseRoot(os.Args[1])) },
		"difftrees":    func() { end(diffTrees(os.Args[1:])) },
		"flipbit":      func() { end(flipBit(os.Args[1], os.Args[2])) },
		"makerpm":      func() { end(makeRPM(os.Args[1:])) },
		"layerdigests": func() { end(layerDigests(os.Args[1])) },
	})
}

// scriptApp is the program with the hooks of the script, not those of the machine.
func scriptApp() *app {
	a := newApp(os.Stdin, os.Stdout, os.Stderr)
	a.hooks, a.trustDir = os.Getenv("HOOKS"), os.Getenv("TRUSTED")
	return a
}

// run is the program without the hooks of the machine that the tests run on.
func run(args []string, in io.Reader, out, errw io.Writer) int {
	a := newApp(in, out, errw)
	a.hooks, a.trustDir = "", "/nonexistent"
	return a.run(args)
}

// cached runs the tests with a cache of their own.
type cached struct{ *testing.M }

func (m cached) Run() int {
	dir, err := os.MkdirTemp("", "xcrate-test-cache-")
	if err == nil {
		err = os.Setenv("XCRATE_CACHE", dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	return m.M.Run()
}

func end(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// TestScripts runs the specification of the command line.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "../../testdata/script",
		Setup: func(env *testscript.Env) error {
			docs, err := filepath.Abs("../../docs")
			env.Setenv("DOCS", docs)
			env.Setenv("XCRATE_CACHE", filepath.Join(env.WorkDir, ".cache"))
			env.Setenv("HOOKS", filepath.Join(env.WorkDir, "hooks"))
			env.Setenv("TRUSTED", filepath.Join(env.WorkDir, "trusted.d"))
			return err
		},
		RequireExplicitExec: true,
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "root":
				return os.Geteuid() == 0, nil
			case "registry":
				return hosttest.AllTests() || hosttest.HaveProgram("docker-registry", "") == nil, nil
			}
			return false, fmt.Errorf("condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exitcode": exitCode, "serve": serve, "registry": startRegistry, "buildxcrate": buildXcrate, "mount": mount, "authfile": writeAuthFile},
	})
}

// exitCode runs a command and checks how it ends: exitcode CODE COMMAND...
func exitCode(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if err != nil {
		if _, err := fmt.Sscanf(err.Error(), "exit status %d", &got); err != nil {
			ts.Fatalf("%v", err)
		}
	}
	if (got == want) == neg {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// makeRPM writes an rpm without files: DIR NAME VERSION RELEASE ARCH [VENDOR].
func makeRPM(args []string) error {
	m := rpmpack.RPMMetaData{Name: args[1], Version: args[2], Release: args[3], Arch: args[4], Epoch: rpmpack.NoEpoch, BuildTime: time.Unix(1.7e9, 0)}
	if len(args) > 5 {
		m.Vendor = args[5]
	}
	r, err := rpmpack.NewRPM(m)
	if err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(args[0], fmt.Sprintf("%s-%s-%s.%s.rpm", m.Name, m.Version, m.Release, m.Arch)))
	if err != nil {
		return err
	}
	return errors.Join(r.Write(f), f.Close())
}

// serve has a web server show a directory until the script ends, and sets a
// variable to its URL: serve DIR VARIABLE.
func serve(ts *testscript.TestScript, _ bool, args []string) {
	s := httptest.NewServer(http.FileServer(http.Dir(ts.MkAbs(args[0]))))
	ts.Defer(s.Close)
	ts.Setenv(args[1], s.URL)
}

func sampleMN(args []string) error {
	o := hosttest.SampleOptions{Nodes: 40, SingleOwner: os.Geteuid() != 0}
	if len(args) > 1 {
		n, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		o.Nodes = n
	}
	return hosttest.SampleMN(args[0], o)
}

// diffTrees [-times] A B [PREFIX...] prints how B differs from A; with -times
// the times of directories do not count.
func diffTrees(args []string) error {
	var o hosttest.DiffOptions
	if args[0] == "-times" {
		o.IgnoreDirTimes, args = true, args[1:]
	}
	a, err := hosttest.Tree(args[0], args[2:]...)
	if err != nil {
		return err
	}
	b, err := hosttest.Tree(args[1], args[2:]...)
	if err != nil {
		return err
	}
	for p, n := range a { // sockets are left out, and listed
		if n.Type == "socket" {
			delete(a, p)
		}
	}
	if diff := hosttest.DiffTrees(a, b, o); len(diff) > 0 {
		return fmt.Errorf("%s", strings.Join(diff, "\n"))
	}
	return nil
}

// flipBit changes one bit in the middle of a file.
func flipBit(file, bit string) error {
	n, err := strconv.Atoi(bit)
	if err != nil {
		return err
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	at := len(b) / 2
	b[at] ^= 1 << (n % 8)
	st, err := os.Stat(file)
	if err != nil {
		return err
	}
	return os.WriteFile(file, b, st.Mode())
}

// layerDigests prints kind and digest of every layer of the only snapshots in
// a layout's index, for comparing two of them.
func layerDigests(dir string) error {
	s, err := new(app).openSnapshot(context.Background(), dir, sourceOptions{})
	if err != nil {
		return err
	}
	for _, l := range s.Manifest.Layers {
		fmt.Println(l.Annotations["dev.xcrate.kind"], l.Digest, filepath.Base(l.MediaType))
	}
	return s.Close()
}
