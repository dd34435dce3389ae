package artifact

import (
	"encoding/hex"

	"github.com/zeebo/blake3"
)

// DigestOf returns what a Digester says of content.
func DigestOf(content []byte) string {
	sum := blake3.Sum256(content)
	return digestPrefix + hex.EncodeToString(sum[:])
}

const digestPrefix = "blake3:"
