// Package etcd finds the peers of a process through etcd.
//
// Each process keeps a key there for as long as it lives, and watches those of the
// others:
//
//	/peercache/scores/http://10.0.0.1:8001 = http://10.0.0.1:8001
//
// The key hangs on a lease, which the process renews three times in each of its
// TTLs (DefaultLeaseTTL, WithLeaseTTL). A process that dies is out of everybody's
// view when its lease has run out; one that stops leaves at once. What counts is
// the value of a key: a base URL that a person put there, under any name below the
// prefix, is a peer too.
//
// # When etcd is away
//
// The last view stands. Run tries again, at growing intervals of up to a quarter
// of the TTL, and says so in the log: when it begins, once a minute, and when it is
// over. If that lasted as long as leases do, many keys may be gone from an etcd
// that is in the best of health again, because nobody could renew them. So a peer
// that was in the last view and is missing then stays for one more TTL, in which
// it can come back.
//
// # Lapsed
//
// View.Lapsed is set as soon as this process cannot know any more that its key is
// there: when the lease has not been renewed for nine tenths of its TTL, counted by
// this process alone from before it sent the last request that etcd granted; when
// etcd says that the lease has gone; and when the watch says that the key has, or that
// it hangs on another lease, as when two processes have one base URL.
// It is cleared by a new registration, once all the keys have been read after it.
//
// So while Lapsed is not set, a key with a lease is in etcd, but for one case: a
// person, or a program, revoked the lease or touched the key, and the watch has not
// told it yet. The tenth is for clocks of different speed and for the time that
// report takes. A process that is stopped as a whole (SIGSTOP, a virtual machine
// that is moved) notices when it runs again; a machine that sleeps may stop its
// clock as well, and then the process notices when etcd tells it.
//
// The view itself may be older than that: what another process did is in it when the
// watch has told. A watch that tells nothing is asked three times a TTL whether it
// is alive, and replaced if it is not; if no other can be had for nine tenths of a
// TTL, Lapsed is set as well.
//
// # Settings that matter
//
// Of the client: TLS, and either Username and Password or Token, where etcd wants
// them. The values and the password travel in the clear to an endpoint that is not https://.
// transport.TLSInfo of etcd's client makes a tls.Config that reads a certificate and its key
// again for each connection, so that they can be replaced. DialKeepAliveTime, without which it
// takes the system many minutes to notice a connection on which nothing comes any more
// (NewFromConfig sets it).
// The user must be allowed to read and write the keys that begin with the prefix.
// Whoever can write there decides who the peers are, and so who is asked for values. A
// process remembers at most 65,536 keys, and 1,024 bytes of each key and each value.
// peercache.WithMaxPeers and peercache.WithPeerFilter say which of them a pool accepts.
//
// Of etcd: its lease TTLs have a least value, which follows from its election
// timeout and is two seconds by default. It may grant more than was asked for, and
// what it granted counts.
package etcd
