// Package peercache is a read-through cache that the processes of a service
// embed and that spans all of them.
//
// Each process makes an HTTPPool, which knows the other processes, its peers,
// and one or more Groups. A Group is a key space with a size limit and a Getter,
// the function that loads a key from the origin: a database, a service, a slow
// computation.
//
//	pool, err := peercache.NewHTTPPool("http://10.0.0.1:8001", // this process, as its peers reach it
//		peercache.WithSecrets(os.Getenv("PEERCACHE_SECRET")), // one secret for all: openssl rand -base64 32
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
//	server := pool.Server()
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
//   - WithSecrets makes peers prove that they belong to the cluster, WithTLS which of them they
//     are. A pool whose address others reach needs one of them, or a WithInsecure.
//   - WithPeers makes a group part of the cluster. Without it the group is a local cache.
//   - WithTTL sets how long a value may be served. The default is without end.
//   - WithPoolLogger logs what is wrong with the configuration and the peers of a pool.
//   - WithLogger logs what a group does. It is another option than WithPoolLogger.
//   - WithContextCodec carries values of a caller's context to a getter in another process.
//   - WithDiscovery finds the peers, with Join in place of Set: see package discovery.
//   - WithCluster names the cluster, so that peers of another cluster are refused.
//   - WithAccess decides what a sender may do, and WithTracer records spans.
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
//     getter, and never passes the request on. If the key is fetched often, the
//     asker keeps a copy in its hot cache, under a lease that the owner records.
//     If not, it asks without a lease, and shares the answer with nobody.
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
// # Words
//
//   - owner: the process that a ring of the view names for a key. It loads the key, and
//     keeps the value without a lease, until it expires or is evicted.
//   - preference list: the owner of a key and the two peers after it on the ring. Other
//     processes hold a value of the key only as a copy.
//   - stand-in: a peer of the preference list that loads a key because the owner cannot be
//     reached, and keeps the value for a time (WithStandIn).
//   - non-replica: a process that is not on the preference list of a key.
//   - copy: a value of another process's key, kept in the hot cache.
//   - lease: the time for which a copy is served. The owner records who has one.
//   - flight: a load or a fetch in progress, which all callers of the key share.
//   - view: the list of peers that a process has. In an agreement, all peers have the same.
//   - invalidation round: telling those who may have values that these are not valid any
//     more: the preference lists of the keys, or all peers, for a Clear and while views
//     change. If the views change during a round, there is another one.
//   - handoff: a value moves from the previous owner of a key to the new one after a change
//     of the view.
//   - departure record: what a process that leaves saves for the next one at its address, so
//     that its snapshot can be validated.
//   - lapsed: the registration of the process may have run out, so that it is fenced: it must
//     bypass its caches (WithConsistency).
//
// # Where to read on
//
// A Group is four structs, embedded by value. caches.go has what is held in this process, and
// freshness.go says for how long. placement.go knows whose key is whose. load.go gets values
// from the getter, and fetch.go from other peers. What needs several of them is a method of
// the Group.
//
// The path of a Get begins in group.go. load.go is step 4. fetch.go and ask.go are step 5 on the
// asking side; poolhandler.go and serve.go are the answering side. multi.go is for many keys, and
// refresh.go for values that are loaded or renewed in the background. context.go has what a
// load's context carries: that it is inside of another load, and what travels of a caller's
// context.
//
// The path of a change is change.go; invalidate.go tells the peers, and apply.go obeys in each
// process. handoff.go takes values over when the view changes. snapshot.go saves values for the
// next process, and restores those that the peers know to be unchanged.
//
// pool.go connects the groups of a process with their peers over any transport, and httppool.go
// does so over HTTP. access.go decides what others may do here. options.go, pooloptions.go and
// httpoptions.go have the options. getter.go is the seam to the origin, PeerPicker (placement.go)
// that to the network, and cache.go that to the store, with the two that come with the package.
// typed.go makes groups of Go values.
//
// stats.go has the figures, and tracing.go begins the spans of a group that has a Tracer. log.go
// logs, and guards callbacks that may panic. events.go keeps what was logged last.
//
// Package peer defines what processes say to each other, and the transport. internal/cluster
// has a process's part in the cluster: views and agreement, discovery, departures, handoffs,
// the change logs. internal/httppeer is the transport over HTTP: streams (internal/stream), and
// one request a message by the plain way. Neither of the two imports the other. internal/lease
// knows who has copies, internal/breaker keeps callers from a peer that fails, internal/store
// is the default store, internal/snapshot the file format, and internal/clock tells the time,
// also after a machine was suspended. internal/audit records refusals and what else operators have
// to explain, and internal/durations counts durations.
//
// Package admin is a handler for operators, with probes and a page. Package metrics lists the
// figures, for the modules metrics/prometheus and metrics/otel, which export them; the module
// tracing/otel exports spans.
//
// The packages singleflight, consistenthash, lru, discovery and pb stand alone.
// docs/architecture.md has the house in one figure, and internal/house checks the code against
// it.
package peercache
