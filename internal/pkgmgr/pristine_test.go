package pkgmgr

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/xcrate/xcrate/internal/host"
)

// pristine are those of paths that are as their package had them, sorted.
func pristine(t *testing.T, root *host.Root, paths string) string {
	t.Helper()
	same, err := Pristine(t.Context(), root, t.TempDir(), strings.Fields(paths))
	if err != nil {
		t.Fatal(err)
	}
	maps.DeleteFunc(same, func(_ string, is bool) bool { return !is })
	return strings.Join(slices.Sorted(maps.Keys(same)), " ")
}

func TestPristine(t *testing.T) {
	root := modifiedRoot(t)
	const asked = "/opt/files/kept /opt/files/content /opt/files/mode /opt/files/time /opt/files/gone /opt/files/size /opt/files/kind " +
		"/opt/files/link /opt/files/log/ghost /opt/files/dir /opt/shared/file /etc/files/conf /etc/files/conf.gone /etc/passwd /nowhere/x"
	if got, want := pristine(t, root, asked), "/etc/files/conf /etc/files/conf.gone /opt/files/content /opt/files/gone /opt/files/kept "+
		"/opt/files/kind /opt/files/mode /opt/files/size /opt/files/time /opt/shared/file"; got != want {
		t.Errorf("nothing was changed: %s", got)
	}
	command(t, "sh", "-c", damage, "sh", root.Dir())
	// Of content, though the package asks nobody to compare it: who changed it wants it kept.
	if got, want := pristine(t, root, asked), "/opt/files/kept /opt/files/mode /opt/files/time /opt/shared/file"; got != want {
		t.Errorf("changed: %s", got)
	}
}

func TestPristineDpkg(t *testing.T) {
	root := dpkgRoot(t)
	const asked = "/opt/xcat/kept /opt/xcat/content /opt/xcat/gone /opt/xcat/diverted /opt/xcat/diverted.xcat /etc/xcat/conf /etc/xcat/conf.kept /etc/gone /etc/passwd"
	if got, want := pristine(t, root, asked), "/etc/xcat/conf.kept /opt/xcat/content /opt/xcat/diverted /opt/xcat/diverted.xcat /opt/xcat/gone /opt/xcat/kept"; got != want {
		t.Errorf("nothing else was changed: %s", got)
	}
	command(t, "sh", "-c", damageDpkg, "sh", root.Dir())
	if got, want := pristine(t, root, asked), "/etc/xcat/conf.kept /opt/xcat/diverted /opt/xcat/diverted.xcat /opt/xcat/kept"; got != want {
		t.Errorf("changed: %s", got)
	}
	if _, err := Pristine(t.Context(), openRoot(t, t.TempDir()), t.TempDir(), []string{"/etc/passwd"}); !errors.Is(err, ErrNone) {
		t.Errorf("without a database: %v", err)
	}
}
