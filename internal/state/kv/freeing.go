package kv

import "context"

type freeingKey struct{}

// Freeing marks the transactions under ctx as such that free room, or replace
// rows by others of about the same size: deletions, flags, moves, sweeps. When
// the disk is nearly full they go on, so that there is a way out, where others
// are refused.
func Freeing(ctx context.Context) context.Context {
	return context.WithValue(ctx, freeingKey{}, true)
}

// IsFreeing says whether ctx was marked by Freeing.
func IsFreeing(ctx context.Context) bool { return ctx.Value(freeingKey{}) != nil }
