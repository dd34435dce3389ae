package database

// SQLiteSuffix ends the name of the file that holds a table.
const SQLiteSuffix = fileSuffix
