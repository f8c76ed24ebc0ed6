// Package peercache is a read-through cache that the processes of a service
// embed and that spans all of them.
//
// Each process makes an HTTPPool, which knows the other processes, its peers,
// and one or more Groups. A Group is a key space with a size limit and a Getter,
// the function that loads a key from the origin: a database, a service, a slow
// computation.
//
//	pool, err := peercache.NewHTTPPool("http://10.0.0.1:8001", // this process, as its peers reach it
//		peercache.WithPoolLogger(slog.Default()))
//	if err != nil {
//		log.Fatal(err)
//	}
//	scores, err := peercache.NewGroup("scores", 64<<20, peercache.GetterFunc(load), peercache.WithPeers(pool))
//	if err != nil {
//		log.Fatal(err)
//	}
//	listener, err := net.Listen("tcp", ":8001")
//	if err != nil {
//		log.Fatal(err)
//	}
//	server := &http.Server{Handler: pool, ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 64 << 10}
//	go server.Serve(listener) // before Set: the peers ask as soon as they know of this process
//	if err := pool.Set("http://10.0.0.1:8001", "http://10.0.0.2:8001", "http://10.0.0.3:8001"); err != nil {
//		log.Fatal(err)
//	}
//	if err := pool.Ready(ctx); err != nil { // returns when the process is warm, or ctx ends
//		log.Fatal(err)
//	}
//	view, err := scores.Get(ctx, "Tom")
//
// The order matters: peers ask a process as soon as they know of it, so it listens before
// Set. Ready waits until the process is warm, or ctx ends. At its end a process calls
// HTTPPool.Shutdown, and stops its server after that.
//
// A group's values are bytes. NewTypedGroup makes one whose values are structs or
// protobuf messages.
//
// # Options to know first
//
//   - WithPeers makes a group part of the cluster. Without it the group is a local cache.
//   - WithTTL sets how long a value may be served. The default is without end.
//   - WithPoolLogger logs what is wrong with the configuration and the peers of a pool.
//   - WithLogger logs what a group does. It is another option than WithPoolLogger.
//   - WithContextCodec carries values of a caller's context to a getter in another process.
//   - WithDiscovery finds the peers, with Join in place of Set: see package discovery.
//   - WithCluster names the cluster, so that peers of another cluster are refused.
//
// Without the two loggers nothing is logged. All other options have defaults that need no
// change in clusters of up to 1,000 processes.
//
// # The life of a Get
//
//  1. Group.Get looks into the caches of its own process. A hit ends here.
//  2. A miss joins the flight of its key, or starts it: callers that want one
//     key at one time share one answer.
//  3. The key's owner is the peer that a consistent-hash ring names. All
//     processes have the same ring, so they agree without asking each other.
//  4. If this process is the owner, the flight runs the getter and keeps the
//     value in the main cache.
//  5. If another peer is, the flight fetches the value from there, on the one
//     connection to that peer. The owner answers from its main cache or runs its
//     getter, and never passes the request on. The asker may keep a copy in its
//     hot cache, under a lease that the owner records.
//  6. If the owner cannot be reached, the next peer on the ring is asked, the
//     same one by everybody: it stands in for the owner, for a time.
//
// So while the peers see each other, a key is loaded by one process of the
// cluster at a time (P1), and a popular one does not make its owner a bottleneck.
//
// # The life of a change
//
// Remove, Set and Clear go to the owner of the key and to the two peers that stand in for
// it. Each of these tells the holders of the copies that it gave away. A value that is being
// loaded or fetched meanwhile goes to the callers who wait for it, and is not cached. When
// the call returns nil, no Get that starts later, on any peer, sees an older value (P8);
// docs/consistency.md says more.
//
// # The life of a process
//
// A process that starts announces its view to its peers. The previous owners of its keys
// offer it their values, and Ready says when it is warm. A process that calls Shutdown tells
// its peers, and offers its values to their next owners. So a deploy loads nothing again. If
// a process fails, its peers do not ask it until it answers again, and its keys go to the
// next peer. docs/faults.md says more.
//
// # Where to read on
//
// The path of a Get is group.go, in its order; load.go is step 4, fetch.go and ask.go are
// step 5 on the asking side, serve.go on the answering side. freshness.go says how long a
// value may be served, refresh.go loads and renews in the background, multi.go is for many
// keys, nested.go for getters that Get, and contextcodec.go for what they get of a caller's
// context. getter.go and peers.go are the seams to the origin and to the network; cache.go
// is the one to the store.
//
// The path of a change is change.go, and pending.go is its error. holders.go knows who has
// copies (holdernames.go: under which numbers), agreement.go whether the peers have one view
// (consent.go in the pool), and departed.go tells those who have left it. hint.go says why a
// pool does not believe at once what a request says of its sender.
//
// HTTPPool is httppool.go, its view and ring view.go. peerurl.go checks how peers are spelled,
// and peerlist.go which ones are allowed. join.go gets views from a discovery; ready.go and
// leave.go are the beginning and the end of this process as a peer, and former.go keeps what
// belongs to a peer that may be back. handover.go takes values over when the view changes, and
// offer.go gives them away. snapshot.go and restore.go take values over from the previous
// process, if the peers confirm that they were not changed (changelog.go, farewell.go, vouch.go).
//
// httppeer.go asks a peer on the connection of link.go, and plain.go by the plain way, with
// pulse.go and transport.go. breaker.go keeps callers from a peer that fails (health.go says
// which), and pace.go limits the attempts to reach such peers. streamserver.go (limited by
// streamlimits.go) and httpserver.go answer, each by one way: httpbody.go reads requests,
// wirelimits.go bounds them, httporigin.go refuses those of web pages, httpanswer.go writes
// answers; wire.go turns errors into messages and back.
//
// poolcheck.go refuses a wrong configuration, and doubtfuloptions.go warns of a doubtful one.
// identity.go (who answers), ownaddress.go (does this process answer at its own address) and
// configwatch.go (do lists and groups differ, as difference.go tells) find what only shows
// between processes; problems.go keeps it for Ready and the log. panics.go guards callbacks,
// and clock.go tells the time, also after a machine was suspended.
//
// The packages singleflight, consistenthash, store, lru, stream, snapshot, discovery and pb
// stand alone.
package peercache
