// Package admin serves what operators ask of a peercache: probes, JSON of what a process knows, a few
// actions, and a page that shows it live. It is a handler, to be mounted on a listener of the
// operator's choice, which is not that of the peers and not that of users:
//
//	handler, err := admin.Handler(pool)
//	go http.ListenAndServe("127.0.0.1:9001", handler)
//
// Whoever reaches the handler sees the names of peers and groups, and keys in events, and can remove
// keys, clear groups and drain the process. Listen on a loopback address, or give it an Authorize.
// docs/admin.md has all endpoints.
package admin
