package report

import (
	"context"
	"crypto/sha256"
	"slices"

	"github.com/ekiden-mail/ekiden/internal/flow/deliver"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/trust/tlsrpt"
)

const format1 = 1

func prefix() kv.Key { return kv.NewKey(kv.OthersShard()).Uint8('r') }

// key is a summary's row: its day, its domain, and a name for its policy.
func key(day int64, p tlsrpt.Policy) kv.Key {
	sum := sha256.Sum256([]byte(p.Key()))
	return prefix().Uint32(uint32(day)).Text(string(p.Domain)).Fixed(sum[:8])
}

// write adds counts to the rows.
func (r *Reporter) write(ctx context.Context, pending map[counter]*tlsrpt.Summary) error {
	type row struct {
		key kv.Key
		sum *tlsrpt.Summary
	}
	var all []row
	for k, s := range pending {
		all = append(all, row{key(k.day, s.Policy), s})
	}
	for part := range slices.Chunk(all, 50) { // 50 rows fill no transaction
		err := r.o.DB.Update(kv.Freeing(ctx), []kv.Shard{kv.OthersShard()}, func(tx kv.Tx) error {
			for _, p := range part {
				sum := *p.sum
				sum.Failures = slices.Clone(sum.Failures)
				b, ok, err := tx.Get(p.key)
				if err != nil {
					return err
				}
				if ok {
					if old, err := decode(b); err == nil { // what cannot be read is counted anew
						sum.Merge(old)
					}
				}
				if b, err = encode(sum); err != nil {
					return err
				}
				tx.Set(p.key, b)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// ledger is what one report tells.
type ledger struct {
	policies []tlsrpt.Summary
	keys     [][]byte
}

// rows reads what was counted on days before today.
func (r *Reporter) rows(ctx context.Context, today int64) (map[letterKey]*ledger, error) {
	all := map[letterKey]*ledger{}
	err := r.o.DB.View(ctx, kv.OthersShard(), func(rd kv.Reader) error {
		clear(all)
		for p, err := range rd.Scan(kv.Range{From: prefix(), To: prefix().Uint32(uint32(today))}) {
			if err != nil {
				return err
			}
			k := kv.ReadKey(p.Key, prefix())
			of := letterKey{int64(k.Uint32()), mail.Domain(k.Text())}
			l := all[of]
			if l == nil {
				l = &ledger{}
				all[of] = l
			}
			l.keys = append(l.keys, p.Key)
			if s, err := decode(p.Value); err == nil {
				l.policies = append(l.policies, s)
			}
		}
		return nil
	})
	for _, l := range all {
		slices.SortStableFunc(l.policies, byFailures)
		l.policies = l.policies[:min(len(l.policies), maxPolicies)]
	}
	return all, err
}

// remove takes rows away, in the commit of a plan if there is one.
func (r *Reporter) remove(ctx context.Context, keys [][]byte, plan *deliver.Plan) error {
	shards := []kv.Shard{kv.OthersShard()}
	if plan != nil {
		shards = append(shards, plan.Shards()...)
	}
	return r.o.DB.Update(kv.Freeing(ctx), shards, func(tx kv.Tx) error {
		for _, k := range keys[:min(len(keys), 1000)] {
			tx.Delete(k)
		}
		if plan != nil {
			return plan.Commit(tx)
		}
		return nil
	})
}
