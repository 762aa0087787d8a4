// Package blob keeps immutable bytes under their hash: small ones in rows,
// larger ones in append-only segment files.
package blob
