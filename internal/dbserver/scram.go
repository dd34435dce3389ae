package dbserver

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

const (
	// scramRounds is PostgreSQL's own default (SCRAM_DEFAULT_ITERATIONS, and
	// scram_iterations since 16).
	scramRounds = 4096
	scramSalt   = 16 // bytes (SCRAM_DEFAULT_SALT_LEN)
	// maxRounds bounds what a verifier can have us compute.
	maxRounds = 1 << 20
)

// scramVerifier returns what PostgreSQL stores of a password, with a salt of its
// own: "SCRAM-SHA-256$ROUNDS:SALT$STOREDKEY:SERVERKEY", all base64 (PostgreSQL's
// "pg_authid", keys as in RFC 5802, section 3).
func scramVerifier(password string) (string, error) {
	salt := make([]byte, scramSalt)
	if _, err := rand.Read(salt); err != nil {
		return "", err
	}
	return scramWith(password, salt, scramRounds)
}

func scramWith(password string, salt []byte, rounds int) (string, error) {
	salted, err := pbkdf2.Key(sha256.New, saslPrep(password), salt, rounds, sha256.Size)
	if err != nil {
		return "", err
	}
	stored := sha256.Sum256(mac(salted, "Client Key"))
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", rounds, b64(salt), b64(stored[:]), b64(mac(salted, "Server Key"))), nil
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = h.Write([]byte(text)) // a hash.Hash never fails
	return h.Sum(nil)
}

// isScramOf reports whether verifier is a SCRAM one of password.
func isScramOf(verifier, password string) bool {
	salt, rounds, err := parseScram(verifier)
	if err != nil {
		return false
	}
	again, err := scramWith(password, salt, rounds)
	return err == nil && subtle.ConstantTimeCompare([]byte(again), []byte(verifier)) == 1
}

func parseScram(verifier string) (salt []byte, rounds int, err error) {
	parts := strings.FieldsFunc(verifier, func(r rune) bool { return r == '$' || r == ':' })
	if len(parts) != 5 || parts[0] != "SCRAM-SHA-256" {
		return nil, 0, errors.New("verifier: not SCRAM-SHA-256")
	}
	if rounds, err = strconv.Atoi(parts[1]); err == nil && (rounds < 1 || rounds > maxRounds) {
		err = errors.New("verifier: number of rounds")
	}
	if err == nil {
		salt, err = base64.StdEncoding.DecodeString(parts[2])
	}
	return salt, rounds, err
}

// nativeHash returns what mysql_native_password stores of a password: "*" and the
// SHA-1 of its SHA-1 (MariaDB, "Authentication Plugin - mysql_native_password").
func nativeHash(password string) string {
	once := sha1.Sum([]byte(password))
	twice := sha1.Sum(once[:])
	return "*" + strings.ToUpper(hex.EncodeToString(twice[:]))
}
