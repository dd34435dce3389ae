package database

import (
	"fmt"
	"io"
)

// Secret is a text that prints as "(secret)", whatever prints it.
type Secret struct{ text string }

// NewSecret wraps text.
func NewSecret(text string) Secret { return Secret{text} }

// Reveal returns the text. Whoever calls it keeps it out of messages, files that
// others may read, and the arguments of programs.
func (s Secret) Reveal() string { return s.text }

// Format implements fmt.Formatter: for every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "(secret)") }

// MarshalText keeps it out of JSON.
func (Secret) MarshalText() ([]byte, error) { return []byte("(secret)"), nil }
