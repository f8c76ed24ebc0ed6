// Package otel records what a peercache.Group does as spans of OpenTelemetry:
//
//	tracer := otel.New(provider)
//	scores, err := peercache.NewGroup("scores", 64<<20, getter, peercache.WithPeers(pool), peercache.WithTracer(tracer))
//
// One trace shows who asks, the owner of the key, and the origin:
//
//	peercache.miss            in the process of the caller
//	└ peercache.fetch         the question to the owner (client)
//	  └ peercache.serve       in the process of the owner (server)
//	    └ peercache.load      the run of the getter, whose context has this span
//
// and, for a Remove, a Set or a Clear:
//
//	peercache.change          in the process of the caller
//	└ peercache.tell          for each peer that is told (client)
//	  └ peercache.apply       in the process of that peer (server)
//	    └ peercache.tell      for each holder of a copy
//
// There are no spans for hits, neither here nor at a peer that has the key cached. A span has the
// attributes
//
//   - peercache.group, and peercache.keys, the number of keys, if it is about any;
//   - server.address and server.port of the peer that is asked or told; client.address and
//     client.port of the one that asks, as it calls itself;
//   - peercache.change: "remove", "set" or "clear". A Set is "remove" for all but the owner;
//   - peercache.shared, if what the caller waited for was begun by another one, in whose trace it is;
//   - peercache.background, if nobody waits: a value is loaded again, or a lease renewed, because of
//     a hit. The span begins a trace of its own, with a link to that of the hit;
//   - peercache.not_found, if the origin has no such key, which is no error;
//   - error.type, if there is an error. The status is that of an error then.
//
// Keys, and texts of errors, which may have keys in them, are personal data in many programs. They
// are recorded only with WithKeys.
//
// The provider's sampler says what is recorded. It is shown the name, the kind, peercache.group and
// peercache.background. Between processes spans travel as W3C Trace Context,
// so that a sampler that follows the parent's decision, such as sdktrace.ParentBased, has whole
// traces or none. What peers send is believed. In a pool that strangers can reach, they can have
// their requests sampled.
//
// Spans end where the answers of peers are read: the provider must not wait for an exporter, as
// one with sdktrace.WithSyncer does.
package otel
