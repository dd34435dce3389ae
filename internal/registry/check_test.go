package registry

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// findings renders what a check found, one line each.
func findings(all []Finding) string {
	var b strings.Builder
	for _, f := range all {
		mark := "ok"
		switch {
		case !f.Good && f.Needed:
			mark = "FAIL"
		case !f.Good:
			mark = "note"
		}
		b.WriteString(mark + " " + f.What + ": " + f.Text + "\n")
	}
	return b.String()
}

func TestCheck(t *testing.T) {
	refuse := func(method, part string, code int) func(f *fake) {
		return func(f *fake) {
			f.fault = func(w http.ResponseWriter, r *http.Request) bool {
				hit := r.Method == method && strings.Contains(r.URL.Path, part)
				if hit {
					w.WriteHeader(code)
				}
				return hit
			}
		}
	}
	for _, test := range []struct {
		name  string
		setUp func(f *fake)
		want  []string
	}{
		{"all is well", func(*fake) {}, []string{"ok connection", "ok pull", "ok push", "ok chunks: uploads go on", "ok ranges", "ok delete", "note referrers"}},
		{"may not pull", refuse(http.MethodGet, "manifests", http.StatusForbidden), []string{"FAIL pull: you may not"}},
		{"may not push", refuse(http.MethodPost, "uploads", http.StatusForbidden), []string{"FAIL push: you may not", "ok delete"}},
		{"no chunks", refuse(http.MethodPatch, "uploads", http.StatusMethodNotAllowed), []string{"ok push", "note chunks: it takes a blob in one request only"}},
		{"no status", refuse(http.MethodGet, "uploads", http.StatusNotFound), []string{"ok push", "note chunks: it takes chunks, and cannot say"}},
		{"least chunk", func(f *fake) { f.least = 100_000 }, []string{"ok chunks: uploads go on where they broke; at least 100000 bytes"}},
		{"forgets", func(f *fake) { f.forgets = true }, []string{"ok push", "note chunks: an upload that breaks within a chunk is forgotten"}},
		{"no ranges", func(f *fake) { f.noRange = true }, []string{"note ranges: it sends blobs as a whole only"}},
		{"no delete", refuse(http.MethodDelete, "manifests", http.StatusMethodNotAllowed), []string{"note delete: it does not delete"}},
		{"may not delete", refuse(http.MethodDelete, "manifests", http.StatusForbidden), []string{"note delete: you may not"}},
		{"too small for anything", func(f *fake) { f.most = 10 }, []string{"FAIL push: it, or a proxy before it, takes no requests of that size"}},
		{"referrers", refuse(http.MethodGet, "referrers", http.StatusOK), []string{"ok referrers"}},
		{"wrong clock", func(f *fake) {
			f.header = func(_ *http.Request, h http.Header) {
				h.Set("Date", time.Date(2026, 1, 2, 5, 4, 5, 0, time.UTC).Format(http.TimeFormat))
			}
		}, []string{"note clock: its clock and ours are 2h0m0s apart"}},
		{"down", refuse(http.MethodGet, "/v2/", http.StatusServiceUnavailable), []string{"FAIL connection: the fault is on its side"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFake(t)
			f.header = func(_ *http.Request, h http.Header) {
				h.Set("Date", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Format(http.TimeFormat))
			}
			test.setUp(f)
			got := findings(f.open().Check(t.Context()))
			for _, want := range test.want {
				if !strings.Contains(got, want) {
					t.Errorf("no %q in:\n%s", want, got)
				}
			}
			if len(f.manifests) != 0 {
				t.Error("a manifest is left there")
			}
		})
	}
}
