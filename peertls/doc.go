// Package peertls gives the peers of a cluster TLS both ways. A Source has the certificate of this
// process and the CAs that sign those of its peers, and follows them when they change:
//
//	source, err := peertls.Files("/tls/tls.crt", "/tls/tls.key", "/tls/ca.crt")
//	pool, err := peercache.NewHTTPPool("https://10.0.0.1:8001", peercache.WithTLS(source))
//	server := pool.Server()
//	go server.ServeTLS(listener, "", "")
//
// Each side verifies the other: the chain up to one of the CAs, the dates, what the certificate is
// for, and the name. A process may call itself by the base URL whose host stands in its certificate
// as a DNS name or an IP address, and by no other. With WithIdentity it may have a URI instead, as
// SPIFFE IDs are.
//
// This is what happens to connections when the certificate or the CAs change. New ones use the new
// set at once. The pool opens its streams to the peers anew, one after the other, without a failed
// request. It ends those of peers whose certificate would not be accepted any more.
package peertls
