// Package sim lets the real sending half of the server live through two weeks in
// virtual time, among a thousand made-up domains whose hosts and name servers have
// moods, and with a process that dies now and then. What is looked for after each
// step and at the end is in docs/simulator.md.
package sim
