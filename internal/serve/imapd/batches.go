package imapd

import (
	"strconv"

	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// Bounds of UIDBATCHES (RFC 10022): a batch is no smaller, and all that are asked
// for hold no more messages.
const (
	minBatch   = 500
	maxBatched = 100_000
)

// batches is UIDBATCHES: ranges of UIDs that hold the mailbox's messages in batches,
// the newest first. The ranges touch one another and the last reaches down to 1, so
// that each UID up to the newest is in one.
func (c *session) batches(cmd *imap.BatchesCommand) (reply, error) {
	if cmd.First > cmd.Last {
		return clientBug("the batches must be given in ascending order"), nil
	}
	n, size := c.sel.uids.n, int(cmd.Size)
	first, last := max(int(cmd.First), 1)-1, int(cmd.Last)
	most := maxBatched / size // batches
	tooMany := last == 0 && n > maxBatched || last > 0 && last-first > most
	switch there := first <= n/size && first*size < n; {
	case !there:
	case size < minBatch:
		return reply{"NO", "TOOFEW", "a batch has at least " + strconv.Itoa(minBatch) + " messages"}, nil
	case tooMany:
		return reply{"NO", "TOOMANY", "at most " + strconv.Itoa(maxBatched) + " messages can be asked for"}, nil
	}
	c.enc.Untagged().Raw(`UIDBATCHES (TAG "` + c.tag + `")`)
	sep := " "
	for i := first; i <= n/size && i*size < n && (last == 0 || i < last); i++ {
		c.enc.Raw(sep).Number(int64(c.batchTop(i, size))).Raw(":").Number(int64(c.batchTop(i+1, size)) + 1)
		sep = ","
	}
	c.enc.CRLF()
	return ok("UIDBATCHES done"), nil
}

// batchTop is the highest UID of batch i, 0 behind the last.
func (c *session) batchTop(i, size int) uint32 {
	if at := c.sel.uids.n - 1 - i*size; at >= 0 {
		return c.sel.uids.at(at)
	}
	return 0
}
