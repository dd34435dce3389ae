//go:build race

package database

// manyRowsInFile is more than a reader may hold.
const manyRowsInFile = 200_000
