package apid

import (
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/ekiden-mail/ekiden/internal/fault"
)

// statusOf is the one table that turns a kind of error into an HTTP status.
func statusOf(k fault.Kind) int {
	switch k {
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	case fault.Invalid:
		return http.StatusBadRequest
	case fault.Unsupported:
		return http.StatusNotImplemented
	case fault.NotFound, fault.Expunged:
		return http.StatusNotFound
	case fault.Exists:
		return http.StatusConflict
	case fault.Unauthenticated:
		return http.StatusUnauthorized
	case fault.Denied:
		return http.StatusForbidden
	case fault.Conflict:
		return http.StatusPreconditionFailed
	case fault.OverQuota:
		return http.StatusInsufficientStorage
	case fault.TooLarge:
		return http.StatusRequestEntityTooLarge
	case fault.TooMany:
		return http.StatusTooManyRequests
	}
	return http.StatusInternalServerError // Internal, Corrupt, CrossShard
}

// problem is err as problem details (RFC 9457).
func problem(err error) *huma.ErrorModel {
	k := fault.KindOf(err)
	return &huma.ErrorModel{
		Type:   "urn:ekiden:" + strings.ReplaceAll(k.String(), " ", "-"),
		Title:  k.String(),
		Status: statusOf(k),
		Detail: fault.Public(err),
	}
}
