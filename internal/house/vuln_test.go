package house

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestVulnGoesOnForTheDatabaseAlone runs .ci/vuln with a stand-in of govulncheck that says what the real one says: its
// exit codes are 3 for findings and 1 for errors of all sorts.
func TestVulnGoesOnForTheDatabaseAlone(t *testing.T) {
	const index = `govulncheck: fetching vulnerabilities: Get "https://vuln.go.dev/index/modules.json.gz": `
	for name, tc := range map[string]struct {
		said string
		code string
		ok   bool
	}{
		"nothing_found":      {"", "0", true},
		"found":              {"", "3", false},
		"found_unreached":    {index + "dial tcp: lookup vuln.go.dev: no such host", "3", false},
		"no_name":            {index + "dial tcp: lookup vuln.go.dev on 192.0.2.1:53: no such host", "1", true},
		"no_route":           {index + "dial tcp 192.0.2.1:443: connect: no route to host", "1", true},
		"no_proxy":           {index + "proxyconnect tcp: dial tcp 192.0.2.1:3128: connect: connection refused", "1", true},
		"silence":            {index + "net/http: TLS handshake timeout", "1", true},
		"untrusted":          {index + "tls: failed to verify certificate: x509: certificate signed by unknown authority", "1", false},
		"refused":            {"govulncheck: fetching vulnerabilities: HTTP GET https://vuln.go.dev/index/modules.json.gz returned unexpected status: 503", "1", false},
		"entry_unreached":    {`govulncheck: fetching vulnerabilities: Get "https://vuln.go.dev/ID/GO-2024-0001.json.gz": dial tcp 192.0.2.1:443: i/o timeout`, "1", false},
		"copy_missing":       {"creating client: stat /srv/vulndb: no such file or directory", "1", false},
		"tool_does_not_load": {"govulncheck: loading packages: dial tcp", "1", false},
		"tool_killed":        {index + "dial tcp", "137", false},
	} {
		t.Run(name, func(t *testing.T) {
			tool := filepath.Join(t.TempDir(), "govulncheck")
			script := "#!/bin/bash\n[[ $* == ./... ]] || exit 99\ncat >&2 <<'END'\n" + tc.said + "\nEND\nexit " + tc.code + "\n"
			if err := os.WriteFile(tool, []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), "bash", filepath.Join(moduleRoot(t), ".ci/vuln"), tool, "./...")
			out, err := cmd.CombinedOutput()
			if (err == nil) != tc.ok {
				t.Errorf("ended with %v, want success %v:\n%s", err, tc.ok, out)
			}
			if loud := strings.Contains(string(out), "\nvuln: NOT CHECKED"); loud != (tc.ok && tc.said != "") {
				t.Errorf("loud %v:\n%s", loud, out)
			}
			if !strings.Contains(string(out), tc.said) {
				t.Errorf("what the tool said was lost:\n%s", out)
			}
		})
	}
}
