package main

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/xcrate/xcrate/internal/hosttest"
)

// signScript makes two keys, of which the node in $1 trusts one, and signs the
// packages in $2 with it, but for goconserver, which it signs with the other.
const signScript = `set -eu
home=$(mktemp -d /tmp/gpg-XXXXXX)
trap 'gpgconf --homedir $home --kill all; rm -rf $home' EXIT
gpg="gpg --homedir $home --batch --quiet --pinentry-mode loopback --passphrase="
for name in Known Stranger; do $gpg --quick-gen-key "$name <$name@example.com>" rsa2048 sign never; done
mkdir -p "$1/etc/pki/rpm-gpg"
$gpg --armor --export Known >"$1/etc/pki/rpm-gpg/RPM-GPG-KEY-known"
sign() { rpmsign --define "__gpg $(command -v gpg)" --define "_gpg_path $home" --define "_gpg_name $1" --addsign "$2" >/dev/null; }
for rpm in "$2"/*.rpm; do
  case $rpm in */goconserver-*) [ "$3" = known ] && sign Known "$rpm" || sign Stranger "$rpm" ;; *) sign Known "$rpm" ;; esac
done
`

// TestSignedPackages has the target's own dnf check signatures against the key
// that the source trusted and the target has never seen, which is trusted for the
// packages of the snapshot only.
func TestSignedPackages(t *testing.T) {
	for signer, said := range map[string]string{"known": "signatures are checked", "stranger": "3 of them signed"} {
		t.Run(signer, func(t *testing.T) {
			mn, usb, root := filepath.Join(t.TempDir(), "mn"), filepath.Join(t.TempDir(), "usb"), hosttest.ELRoot(t)
			sample(t, mn)
			for _, tool := range []string{"gpg", "rpmsign"} {
				if _, err := exec.LookPath(tool); err != nil {
					t.Fatalf("apt-get install gnupg rpm: %v", err)
				}
			}
			packages := scriptedPackages(t, hosttest.ScriptedOptions{})
			if out, err := exec.CommandContext(t.Context(), "sh", "-c", signScript, "sh", mn, packages, signer).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			xcrate(t, exitWarnings, "export", "--no-encrypt", usb, "--root", mn, "--packages", packages)
			if keys := config(t, usb).PackageKeys; len(keys) != 1 || keys[0].Name != "Known <Known@example.com>" {
				t.Errorf("keys %+v", keys)
			}
			out := xcrate(t, exitWarnings, "import", "--allow-unsigned", usb, "--root", root, "--yes")
			if !strings.Contains(out, said) || strings.Contains(out, "packages-unsigned") != (signer == "stranger") {
				t.Errorf("said:\n%s", out)
			}
			got := rpmQuery(t, root)
			if !slices.Contains(got, "xCAT-2.17.0-snap202411131023.x86_64") || slices.ContainsFunc(got, func(p string) bool { return strings.HasPrefix(p, "gpg-pubkey") }) {
				t.Errorf("installed %q", got)
			}
		})
	}
}
