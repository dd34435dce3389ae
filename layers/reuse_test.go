package layers

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
)

// before captures root, and returns options for the next capture that build on it.
func before(t *testing.T, s *store, o Options) (*Captured, Options) {
	t.Helper()
	c := capture1(t, s, o)
	snap := s.snapshot(t, c)
	o.Base = &Base{Snapshot: snap, Fetcher: s, Known: c.Known}
	return c, o
}

func bulky(t *testing.T) *host.Root {
	t.Helper()
	root := node(t)
	check(t, os.MkdirAll(root.Path("/install/custom/bulk"), 0o755))
	for i := range 40 {
		check(t, os.WriteFile(root.Path(fmt.Sprintf("/install/custom/bulk/f%02d", i)), []byte(strings.Repeat(strconv.Itoa(i%7), 1<<20)), 0o644))
	}
	return root
}

// trees counts the layers of trees.
func trees(c *Captured) (n int) {
	for _, l := range c.Layers {
		if artifact.Kind(l.Annotations[artifact.AnnotationKind]).IsTree() {
			n++
		}
	}
	return n
}

// read says how many bytes this process has read so far.
func read(t *testing.T) int64 {
	t.Helper()
	b, err := os.ReadFile("/proc/self/io")
	check(t, err)
	n, err := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	check(t, err)
	return n
}

// TestNothingChanged captures a tree twice. The second time no file is read.
func TestNothingChanged(t *testing.T) {
	root := bulky(t)
	s := newStore()
	o := opts(t, root)
	o.limits = limits{part: 5 << 20, piece: 4 << 20}
	first, again := before(t, s, o)
	start := read(t)
	second := capture1(t, s, again)
	if n := read(t) - start; n > 20<<20 {
		t.Errorf("%d bytes were read of a tree of 40 MiB that nobody touched", n)
	}
	if second.Reused != trees(first) || second.Reused < 8 {
		t.Errorf("%d of %d parts taken over", second.Reused, trees(first))
	}
	if !reflect.DeepEqual(first.Config, second.Config) || !reflect.DeepEqual(first.Layers, second.Layers) || !reflect.DeepEqual(first.Known, second.Known) {
		t.Errorf("an unchanged tree makes another snapshot:\n%+v\n%+v", first, second)
	}
	s.snapshot(t, second)
}

// touch does act to file p and gives it its old times back.
func touch(t *testing.T, p string, act func() error) {
	t.Helper()
	var st unix.Stat_t
	check(t, unix.Lstat(p, &st))
	check(t, act())
	ts := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Sec: st.Mtim.Sec, Nsec: st.Mtim.Nsec}}
	check(t, unix.UtimesNanoAt(unix.AT_FDCWD, p, ts, unix.AT_SYMLINK_NOFOLLOW))
}

// TestHiddenChanges changes one thing at a time and hides it as well as can be:
// same size, times put back. Each must be in the next snapshot, which must be the
// one that is made without a base.
func TestHiddenChanges(t *testing.T) {
	root := bulky(t)
	dir := root.Path("/install/custom/bulk")
	a, b := dir+"/f03", dir+"/f04"
	check(t, os.Symlink("one", dir+"/link"))
	asRoot := os.Geteuid() == 0
	changes := []struct {
		name string
		at   string
		act  func() error
	}{
		{"same size", a, func() error { return os.WriteFile(a, []byte(strings.Repeat("x", 1<<20)), 0o644) }},
		{"one byte in place", b, func() error {
			f, err := os.OpenFile(b, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.WriteAt([]byte("y"), 1000)
			return err
		}},
		{"mode", a, func() error { return os.Chmod(a, 0o755) }},
		{"secret mode", a, func() error { return os.Chmod(a, 0o600) }},
		{"open again", a, func() error { return os.Chmod(a, 0o644) }},
		{"two files swapped", dir, func() error {
			return firstError(os.Rename(a, dir+"/x"), os.Rename(b, a), os.Rename(dir+"/x", b))
		}},
		{"another inode", a, func() error {
			return firstError(os.WriteFile(dir+"/x", []byte(strings.Repeat("z", 1<<20)), 0o644), os.Rename(dir+"/x", a))
		}},
		{"another name", dir, func() error { return os.Link(a, dir+"/zz") }},
		{"name gone", dir, func() error { return os.Remove(dir + "/zz") }},
		{"renamed", dir, func() error { return os.Rename(b, dir+"/f04b") }},
		{"renamed back", dir, func() error { return os.Rename(dir+"/f04b", b) }},
		{"xattr", a, func() error { return ignoreUnsupported(unix.Setxattr(a, "user.note", []byte("1"), 0)) }},
		{"xattr value", a, func() error { return ignoreUnsupported(unix.Setxattr(a, "user.note", []byte("2"), 0)) }},
		{"symlink", dir, func() error {
			return firstError(os.Remove(dir+"/link"), os.Symlink("two", dir+"/link"))
		}},
		{"a key", a, func() error {
			return os.WriteFile(a, []byte("-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n"), 0o644)
		}},
		{"nothing", a, func() error { return nil }},
		{"gone", dir, func() error { return os.Remove(a) }},
	}
	if asRoot {
		changes = append(changes, struct {
			name string
			at   string
			act  func() error
		}{"owner", b, func() error { return os.Lchown(b, 1, 1) }})
	}
	s := newStore()
	o := opts(t, root)
	o.limits = limits{part: 5 << 20, piece: 4 << 20}
	last, again := before(t, s, o)
	for _, c := range changes {
		touch(t, c.at, c.act)
		with := capture1(t, s, again)
		without := capture1(t, newStore(), o)
		if with.Reused == 0 || with.Reused == trees(with) {
			t.Errorf("%s: %d of %d parts taken over", c.name, with.Reused, trees(with))
		}
		if !reflect.DeepEqual(with.Layers, without.Layers) || !reflect.DeepEqual(with.Config, without.Config) {
			t.Errorf("%s: what is taken over is not what would be read:\n%+v\n%+v", c.name, with.Layers, without.Layers)
		}
		if c.name != "nothing" && reflect.DeepEqual(with.Layers, last.Layers) && c.name != "another name" {
			t.Errorf("%s: the snapshot did not notice", c.name)
		}
		last = with
		snap := s.snapshot(t, with)
		again.Base = &Base{Snapshot: snap, Fetcher: s, Known: with.Known}
	}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func ignoreUnsupported(err error) error {
	if errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	return err
}

// TestAccountRenamed gives the owner of files another name: nothing about the
// files changes, and what is stored of them does.
func TestAccountRenamed(t *testing.T) {
	root := bulky(t)
	s := newStore()
	first, again := before(t, s, opts(t, root))
	b, err := os.ReadFile(root.Path("/etc/group"))
	check(t, err)
	check(t, os.WriteFile(root.Path("/etc/group"), []byte(strings.Replace(string(b), "root:", "wheel0:", 1)), 0o644))
	if os.Geteuid() != 0 {
		check(t, os.WriteFile(root.Path("/etc/group"), append(b, fmt.Sprintf("mine:x:%d:\n", os.Getegid())...), 0o644))
	}
	with, without := capture1(t, s, again), capture1(t, newStore(), opts(t, root))
	if !reflect.DeepEqual(with.Layers, without.Layers) || reflect.DeepEqual(with.Layers, first.Layers) {
		t.Error("the old name was taken over")
	}
}

// TestLyingCache gives layers the keys of others, in every combination: the
// snapshot must be the one that is made without a base.
func TestLyingCache(t *testing.T) {
	root := bulky(t)
	s := newStore()
	o := opts(t, root)
	o.limits = limits{part: 15 << 20, piece: 14 << 20}
	honest, again := before(t, s, o)
	var names []digest.Digest
	for name := range honest.Known {
		names = append(names, name)
	}
	for _, l := range honest.Layers { // also of layers that are no trees
		if honest.Known[l.Digest] == "" {
			names = append(names, l.Digest)
		}
	}
	for i, a := range names {
		for next := range min(3, len(names)-1) { // each with the keys of some others
			b := names[(i+next+1)%len(names)]
			again.Base.Known = Known{a: honest.Known[b]}
			got := capture1(t, s, again)
			if !reflect.DeepEqual(got.Layers, honest.Layers) {
				t.Fatalf("layer %s with the key of %s was believed", a, b)
			}
		}
	}
	again.Base.Known = Known{names[0]: "", names[1]: "zz", "sha256:x": honest.Known[names[0]]}
	if got := capture1(t, s, again); !reflect.DeepEqual(got.Layers, honest.Layers) || got.Reused != 0 {
		t.Error("nonsense was believed")
	}
}

// TestUnsettled captures files that were just made, and files that are written
// to while they are captured: their parts are not known the next time.
func TestUnsettled(t *testing.T) {
	root := bulky(t)
	o := opts(t, root)
	o.Now = time.Now()
	if c := capture1(t, newStore(), o); len(c.Known) != 0 {
		t.Errorf("%d parts of files that are seconds old", len(c.Known))
	}
}

// TestBrokenBase breaks what the base consists of. The snapshot is whole all the
// same, and what was wrong is said where it matters.
func TestBrokenBase(t *testing.T) {
	root := bulky(t)
	s := newStore()
	honest, again := before(t, s, opts(t, root))
	var tree, catalog digest.Digest
	for _, l := range honest.Layers {
		switch k := artifact.Kind(l.Annotations[artifact.AnnotationKind]); {
		case k == artifact.KindInstall:
			tree = l.Digest
		case k == artifact.KindCatalog:
			catalog = l.Digest
		}
	}
	for name, c := range map[string]struct {
		breakIt func(base *store)
		reused  int
		warned  bool
	}{
		"part gone":       {func(base *store) { delete(base.blobs, tree) }, honest.Reused + trees(honest) - 1, false},
		"part damaged":    {func(base *store) { base.blobs[tree][100] ^= 1 }, trees(honest) - 1, false},
		"part cut":        {func(base *store) { base.blobs[tree] = base.blobs[tree][:1000] }, trees(honest) - 1, false},
		"catalog gone":    {func(base *store) { delete(base.blobs, catalog) }, 0, true},
		"catalog damaged": {func(base *store) { base.blobs[catalog][len(base.blobs[catalog])/2] ^= 1 }, 0, true},
		"whole":           {func(*store) {}, trees(honest), false},
	} {
		t.Run(name, func(t *testing.T) {
			base, into := newStore(), newStore()
			for d, b := range s.blobs {
				base.blobs[d] = append([]byte{}, b...)
			}
			c.breakIt(base)
			o := again
			o.Base = &Base{Snapshot: again.Base.Snapshot, Fetcher: base, Known: again.Base.Known}
			got := capture1(t, into, o)
			into.snapshot(t, got)
			if !reflect.DeepEqual(got.Layers, honest.Layers) {
				t.Error("another snapshot")
			}
			if got.Reused != c.reused || (len(got.Config.Warnings) > len(honest.Config.Warnings)) != c.warned {
				t.Errorf("%d parts taken over, warnings %v", got.Reused, got.Config.Warnings)
			}
		})
	}
}
