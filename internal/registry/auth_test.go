package registry

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// tokens makes f want tokens that are good for a few requests, from a service that
// wants user and password.
func (f *fake) tokens(service *httptest.Server, each int) {
	left, number := 0, 0
	mux, ok := service.Config.Handler.(*http.ServeMux)
	if !ok {
		f.t.Fatal("no mux")
	}
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "admin" || password != "canary" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		number++
		left = each
		_ = json.NewEncoder(w).Encode(map[string]any{"token": fmt.Sprintf("t%d", number)})
	})
	f.fault = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") == fmt.Sprintf("Bearer t%d", number) && left > 0 {
			left--
			return false
		}
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="s",scope="repository:mn/c7:pull,push"`, service.URL))
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}
}

func admin(o *Options) { o.Username, o.Password = "admin", "canary" }

// A token that expires in the middle of a blob is renewed, and the blob goes on.
func TestTokensExpire(t *testing.T) {
	service := httptest.NewServer(http.NewServeMux())
	t.Cleanup(service.Close)
	f := newFake(t)
	f.tokens(service, 3)
	s := newSnapshot(t, 20<<20)
	c := f.open(admin)
	c.push(s)
	if n := f.count(http.MethodPost, "uploads"); n > 4 {
		t.Errorf("%d uploads were begun for two blobs", n)
	}
	f.mu.Lock()
	f.cut, f.left = 3<<20, 3<<20
	f.mu.Unlock()
	c.fetch(s, 0)
}

func TestTokensAreRefused(t *testing.T) {
	service := httptest.NewServer(http.NewServeMux())
	t.Cleanup(service.Close)
	f := newFake(t)
	f.tokens(service, 3)
	for name, change := range map[string]func(*Options){
		"nobody":         func(*Options) {},
		"wrong password": func(o *Options) { o.Username, o.Password = "admin", "canary-wrong" },
	} {
		t.Run(name, func(t *testing.T) {
			_, err := f.open(change).Resolve(t.Context(), "v1")
			wantAdvice(t, err, "podman login")
			if strings.Contains(fmt.Sprint(err), "canary") {
				t.Errorf("the error tells the password: %v", err)
			}
		})
	}
}

// The password goes to the registry of the reference and its token service, and to
// nobody that it redirects to.
func TestPasswordGoesNowhereElse(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Errorf("another host got %q", r.Header.Get("Authorization"))
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="give it to me"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(elsewhere.Close)
	f := newFake(t)
	s := newSnapshot(t, 100)
	f.put(s, "v1")
	f.fault = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/blobs/") {
			return false
		}
		if r.Header.Get("Authorization") == "" {
			w.Header().Set("WWW-Authenticate", `Basic realm="us"`)
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		http.Redirect(w, r, strings.Replace(elsewhere.URL, "127.0.0.1", "localhost", 1)+"/blob", http.StatusTemporaryRedirect)
		return true
	}
	if _, err := f.open(admin).FetchFrom(t.Context(), s.layer, 0); err == nil {
		t.Error("a redirect that wants a password worked")
	}
}

// Tokens of podman's and docker's files are found where those keep them.
func TestCredentialFiles(t *testing.T) {
	f := newFake(t)
	f.fault = func(w http.ResponseWriter, r *http.Request) bool {
		if user, password, _ := r.BasicAuth(); user == "admin" && password == "canary" {
			return false
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="us"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}
	s := newSnapshot(t, 100)
	f.put(s, "v1")
	host := strings.TrimPrefix(f.server.URL, "http://")
	file := fmt.Appendf(nil, `{"auths":{%q:{"auth":"YWRtaW46Y2FuYXJ5"}}}`, host)
	helper := fmt.Appendf(nil, `{"credHelpers":{%q:"xcratetest"}}`, host)
	bin := t.TempDir()
	script := "#!/bin/sh\ncat >/dev/null\necho '{\"Username\":\"admin\",\"Secret\":\"canary\"}'\n"
	if err := os.WriteFile(filepath.Join(bin, "docker-credential-xcratetest"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	for _, test := range []struct {
		name, variable, file string
		content              []byte
	}{
		{"podman", "REGISTRY_AUTH_FILE", "", file},
		{"podman's runtime directory", "XDG_RUNTIME_DIR", "containers/auth.json", file},
		{"podman's home", "HOME", ".config/containers/auth.json", file},
		{"docker", "DOCKER_CONFIG", "config.json", file},
		{"docker's home", "HOME", ".docker/config.json", file},
		{"docker's helper", "HOME", ".docker/config.json", helper},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, test.file)
			if test.file == "" {
				path = filepath.Join(dir, "auth.json")
				dir = path
			}
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, test.content, 0o600); err != nil {
				t.Fatal(err)
			}
			c := f.open(func(o *Options) {
				o.Env = func(name string) string {
					if name == test.variable {
						return dir
					}
					return ""
				}
			})
			if _, err := c.Resolve(t.Context(), "v1"); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("a helper that is not there", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "config.json"), bytes.ReplaceAll(helper, []byte("xcratetest"), []byte("gone")), 0o600); err != nil {
			t.Fatal(err)
		}
		c := f.open(func(o *Options) {
			o.Env = func(name string) string { return map[string]string{"DOCKER_CONFIG": dir}[name] }
		})
		_, err := c.Resolve(t.Context(), "v1")
		wantAdvice(t, err, "podman login")
		if len(c.notes) != 1 || !strings.Contains(c.notes[0], "docker-credential-gone") {
			t.Errorf("notes %q", c.notes)
		}
	})
}

// clientPair is a certificate of a client that signs itself, and its key.
func clientPair(t *testing.T) (certificate, key []byte, pool *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mn"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	certificate = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(certificate)
	return certificate, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), pool
}

// The four flags of TLS are four things, and each holds for tokens as for blobs.
func TestTLS(t *testing.T) {
	certificate, key, pool := clientPair(t)
	serve := func(h http.Handler, wantsClient bool) *httptest.Server {
		s := httptest.NewUnstartedServer(h)
		s.TLS = &tls.Config{}
		if wantsClient {
			s.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
		}
		s.Config.ErrorLog = nil
		s.StartTLS()
		t.Cleanup(s.Close)
		return s
	}
	ca := func(s *httptest.Server) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	}
	s := newSnapshot(t, 2<<20)
	for _, wantsClient := range []bool{false, true} {
		f := newFake(t)
		f.server = serve(f, wantsClient)
		service := serve(http.NewServeMux(), wantsClient)
		f.tokens(service, 100)
		f.put(s, "v1")
		for _, test := range []struct {
			name   string
			change func(*Options)
			advice string // "" if it works, with a client's certificate
		}{
			{"nothing", func(*Options) {}, "--ca-file"},
			{"the authority", func(o *Options) { o.TLS.CA = ca(f.server) }, ""},
			{"trust anybody", func(o *Options) { o.TLS.SkipVerify = true }, ""},
			{"no TLS", func(o *Options) { o.PlainHTTP = true }, "leave out --plain-http"},
		} {
			for _, asClient := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, client %v of %v", test.name, asClient, wantsClient), func(t *testing.T) {
					c := f.open(admin, func(o *Options) {
						o.PlainHTTP = false
						test.change(o)
						if asClient && !o.PlainHTTP {
							o.TLS.Certificate, o.TLS.Key = certificate, key
						}
					})
					_, err := c.Resolve(t.Context(), "v1")
					switch {
					case test.advice != "":
						wantAdvice(t, err, test.advice)
					case wantsClient && !asClient:
						wantAdvice(t, err, "--client-cert")
					case err != nil:
						t.Error(err)
					default:
						c.fetch(s, 1)
					}
				})
			}
		}
	}
}

func TestBadCertificates(t *testing.T) {
	for name, o := range map[string]TLS{
		"no certificate of an authority": {CA: []byte("nothing")},
		"no certificate of a client":     {Certificate: []byte("x"), Key: []byte("y")},
	} {
		if _, err := Open(Reference{Host: "h", Repository: "r"}, Options{TLS: o, Env: func(string) string { return "" }}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// A server whose certificate is for another name, or for another time, is named so.
func TestTranslatedCertificates(t *testing.T) {
	f := newFake(t)
	server := httptest.NewTLSServer(f)
	t.Cleanup(server.Close)
	f.server = server
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	open := func(host string) error {
		r, err := Open(Reference{Host: host, Repository: "mn/c7"}, f.open(func(o *Options) { o.PlainHTTP, o.TLS.CA = false, ca }).opt)
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.Resolve(t.Context(), "v1")
		return err
	}
	wantAdvice(t, open(strings.Replace(strings.TrimPrefix(server.URL, "https://"), "127.0.0.1", "localhost", 1)), "in its certificate")
	wantAdvice(t, open("no-such-host.invalid"), "getent hosts")
	wantAdvice(t, open("127.0.0.1:1"), "HTTPS_PROXY")
}
