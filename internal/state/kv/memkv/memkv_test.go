package memkv_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/kv/kvtest"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestContract(t *testing.T) {
	kvtest.Run(t, func(*testing.T) kv.DB { return memkv.New(memkv.Options{}) })
}

func TestContractWithReruns(t *testing.T) {
	kvtest.Run(t, func(*testing.T) kv.DB { return memkv.New(memkv.Options{Rerun: true, Seed: 7}) })
}
