// Package dkim verifies and makes DomainKeys Identified Mail signatures
// (RFC 6376), with RSA (RFC 8301) and Ed25519 (RFC 8463).
package dkim
