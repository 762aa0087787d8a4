// Package crashtest cuts the power under the whole store, at random points of
// random histories, and looks for what was promised. The rooms are the real ones
// on the real engine; only the disk is made up. See docs/proof.md.
package crashtest
