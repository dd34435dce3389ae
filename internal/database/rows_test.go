//go:build !race

package database

// manyRowsInFile is more than a reader may hold.
const manyRowsInFile = 1_000_000
