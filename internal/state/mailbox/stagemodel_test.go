package mailbox

import (
	"context"

	"pgregory.net/rapid"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

// copyUnsettled is a COPY that is never ended: what it did shows all the same.
func (b *bench) copyUnsettled(ctx context.Context, who, a mail.AccountID, box BoxID, uids []UID, dest BoxID) (src, dst []UID, uidvalidity uint32, err error) {
	_, src, dst, uidvalidity, err = b.copyStaged(ctx, who, a, box, ordered(uids), dest)
	return src, dst, uidvalidity, err
}

// beginCopy is a COPY that a crash ended before its messages showed.
func (b *bench) beginCopy(box BoxID, uids []UID) {
	b.t.Helper()
	var id BoxID
	b.update(func(t *Tx) (err error) { id, err = t.newStage(box); return err })
	b.must(b.pieces(context.Background(), alice, alice, ordered(uids), func(t *Tx, uids []UID) (n int, err error) {
		st, err := t.stageOf(id)
		if err == nil {
			_, _, n, err = t.transfer(box, uids, st, AllRights, false)
		}
		return n, err
	}, func() {}))
}

func (m *model) crash(*rapid.T) {
	b := m.pick()
	uids := m.pickUIDs(b)
	m.beginCopy(b.id, uids)
	for name, o := range m.boxes {
		for _, u := range b.have(uids) {
			if o == b {
				m.staged[b.mails[u].message] = modelGone{name, b.mails[u]}
			}
		}
	}
}

// sweep ends what crashes left. A message that was expunged meanwhile has lost
// its last place only now.
func (m *model) sweep(*rapid.T) {
	m.must(m.sweepStages(context.Background(), alice, -1))
	equal(m.t, "stages", m.stages(), 0)
	held := map[MessageID]bool{}
	for _, b := range m.boxes {
		for _, x := range b.mails {
			held[x.message] = true
		}
	}
	for id, g := range m.staged {
		if !held[id] {
			m.gone[id] = g
		}
	}
	clear(m.staged)
}

// stages counts them.
func (b *bench) stages() (n int) {
	b.t.Helper()
	b.view(func(t *Tx) error {
		n = 0
		_, err := t.Boxes()
		for _, x := range t.boxes {
			if x.row.hidden {
				n++
			}
		}
		return err
	})
	return n
}
