package kv

import "github.com/ekiden-mail/ekiden/internal/mail"

// Partitions is the number of queue and history partitions.
const Partitions = 64

// AccountShard holds all that is one account's.
func AccountShard(a mail.AccountID) Shard { return Shard(NewKey([]byte("a/")).Uint64(uint64(a))) }

// SearchShard holds the search index of one account's messages.
func SearchShard(a mail.AccountID) Shard { return Shard(NewKey([]byte("x/")).Uint64(uint64(a))) }

// SessionShard holds what sessions have to remember of one account between
// them, and what is no change of the account.
func SessionShard(a mail.AccountID) Shard { return Shard(NewKey([]byte("s/")).Uint64(uint64(a))) }

// PartitionShard holds the queue and the history of the arrivals that id
// belongs to.
func PartitionShard(id mail.ArrivalID) Shard { return Partition(id[0] % Partitions) }

// Partition is the shard of partition n.
func Partition(n uint8) Shard { return Shard(NewKey([]byte("p/")).Uint8(n)) }

// DirectoryShard holds the directory.
func DirectoryShard() Shard { return Shard("d/") }

// BanShard holds who may not come in, and who is never kept out.
func BanShard() Shard { return Shard("g/") }

// CertShard holds what the server proves itself with: certificates with their
// keys, the accounts at authorities, and the keys of session tickets.
func CertShard() Shard { return Shard("t/") }

// SuppressShard holds whom our domains do not write to any more.
func SuppressShard() Shard { return Shard("u/") }

// OthersShard holds what is known of other domains: the policies that they have
// published, and how it went with them.
func OthersShard() Shard { return Shard("o/") }

// ClusterShard holds which nodes there are, and which of them works what.
func ClusterShard() Shard { return Shard("c/") }

// ShareShard holds which accounts share mailboxes with which.
func ShareShard() Shard { return Shard("h/") }

// ZoneShard holds the zones that we are the authority for.
func ZoneShard() Shard { return Shard("z/") }

// Loose is the prefix of the rows that lie in no shard.
const Loose = "b/"
