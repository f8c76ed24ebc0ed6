// Package httppeer is the transport between peers over HTTP: a stream for each peer that knows
// it, upgraded from HTTP/1.1, and one request a message for the rest (the plain way). It is also
// the way to peers of golang/groupcache.
package httppeer
