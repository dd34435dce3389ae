package merge

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// sshKeys are n new public keys, "type base64".
func sshKeys(t testing.TB, n int) []string {
	t.Helper()
	var all []string
	for range n {
		pub, _, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, encode(t, pub))
	}
	return all
}

func encode(t testing.TB, pub any) string {
	t.Helper()
	key, err := ssh.NewPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	return key.Type() + " " + base64.StdEncoding.EncodeToString(key.Marshal())
}

func TestAuthorizedKeys(t *testing.T) {
	k := sshKeys(t, 4)
	host := "# admins\nfrom=\"10.0.0.0/8\",no-pty " + k[0] + " alice@home\n" + k[1] + "\nssh-future AAAA new\n"
	snapshot := "# cluster\n" + k[1] + " root@mn\n# other options\n" + k[0] + "\n# nodes\ncommand=\"echo \\\"a b\\\"\" " + k[2] + " root@sn\n\nssh-odd BBBB\n" + k[2] + "\n# end\n"
	want := host + "# nodes\ncommand=\"echo \\\"a b\\\"\" " + k[2] + " root@sn\nssh-odd BBBB\n"
	got := AuthorizedKeys([]byte(host), []byte(snapshot))
	if string(got.Content) != want {
		t.Errorf("merged:\n%s\nwant:\n%s", got.Content, want)
	}
	notes := strings.Join(got.Notes, "; ")
	if notes != "1 key of the snapshot added; 1 key has other options in the snapshot: those of this host stay" {
		t.Errorf("notes %q", notes)
	}
	if again := AuthorizedKeys(got.Content, []byte(snapshot)); string(again.Content) != want {
		t.Errorf("merged again:\n%s", again.Content)
	}
	// The last line of a file may have no newline.
	if got := AuthorizedKeys([]byte(k[3]), []byte(k[2])); string(got.Content) != k[3]+"\n"+k[2]+"\n" {
		t.Errorf("merged %q", got.Content)
	}
	if got := AuthorizedKeys([]byte(k[3]), []byte(k[3])); string(got.Content) != k[3] || len(got.Notes) > 0 {
		t.Errorf("equal: %q", got)
	}
}

func TestKnownHosts(t *testing.T) {
	k := sshKeys(t, 4)
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey := encode(t, &other.PublicKey)
	hashed := "|1|F1E1KeoE/eEWhi10WpGv4OdiO6Y=|3988QV0VE8wmZL7suNrYQLITLCg= "
	for _, tt := range []struct{ name, host, snapshot, want, note string }{
		{"union", "a " + k[0] + "\n", "b " + k[1] + " comment\n", "a " + k[0] + "\nb " + k[1] + " comment\n", "1 key of the snapshot added"},
		{"equal", "a,b " + k[0] + " x\n", "a,b " + k[0] + "\n", "a,b " + k[0] + " x\n", ""},
		{"other_key", "a " + k[0] + "\nz " + k[2] + "\n", "a " + k[1] + "\n", "z " + k[2] + "\na " + k[1] + "\n", "get that of the snapshot: a"},
		{"one_of_the_names", "a,b,[c]:22 " + k[0] + " x\n", "b " + k[1] + "\n", "a,[c]:22 " + k[0] + " x\nb " + k[1] + "\n", "snapshot: b"},
		{"other_type", "a " + rsaKey + "\n", "a " + k[1] + "\n", "a " + rsaKey + "\na " + k[1] + "\n", ""},
		{"both_in_the_snapshot", "a " + k[0] + "\n", "a " + k[1] + "\na " + k[0] + "\n", "a " + k[0] + "\na " + k[1] + "\n", ""},
		{"revoked", "@revoked a " + k[0] + "\n", "a " + k[1] + "\n", "@revoked a " + k[0] + "\na " + k[1] + "\n", ""},
		{"patterns", "*.x " + k[0] + "\n", "*.x " + k[1] + "\n", "*.x " + k[0] + "\n*.x " + k[1] + "\n", ""},
		{"hashed", hashed + k[0] + "\n", hashed + k[1] + "\n", hashed + k[0] + "\n" + hashed + k[1] + "\n", ""},
		{"no_keys", "# ours\n\nnonsense\n", "# theirs\na " + k[0] + "\nnonsense\nodd\n", "# ours\n\nnonsense\n# theirs\na " + k[0] + "\nodd\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := KnownHosts([]byte(tt.host), []byte(tt.snapshot))
			if string(got.Content) != tt.want {
				t.Errorf("merged:\n%s\nwant:\n%s", got.Content, tt.want)
			}
			notes := strings.Join(got.Notes, "; ")
			if !strings.Contains(notes, tt.note) || strings.Contains(notes, "AAAA") {
				t.Errorf("notes %q, want %q", notes, tt.note)
			}
			if again := KnownHosts(got.Content, []byte(tt.snapshot)); string(again.Content) != tt.want {
				t.Errorf("merged again:\n%s", again.Content)
			}
		})
	}
}
