package httppeer

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/peercache/peercache/pb"
	"github.com/peercache/peercache/peer"
)

// protocolName is the name of the stream in the Upgrade header.
const protocolName = "peercache"

// The plain requests, by their paths below the base path:
//
//	GET  {group}/{key}    GetResponse      as golang/groupcache's
//	POST get              GetResponse      a GetRequest in the body: any key
//	POST change           ChangeResponse   a ChangeRequest in the body
//
// A GET of the base path itself asks for a sign of life: any response of the peer is one. With the
// header "Upgrade: peercache" it begins a stream on the connection: see package stream.
const (
	getPath    = "get"
	changePath = "change"

	contentType = "application/x-protobuf"
)

// A request names who asks, and whom. The response names who answers. So three mistakes are found
// before the answer counts as the peer's: a process with a wrong self, two processes behind one
// address, and a peer of another cluster.
const (
	// peerHeader has the base URL of the process that sends the request or the response.
	peerHeader = "Peercache-Peer"
	// processHeader has the random number of that process (peer.Identity).
	processHeader = "Peercache-Process"
	// clusterHeader has the name of its cluster, if it has one: see peercache.WithCluster.
	clusterHeader = "Peercache-Cluster"
	// toHeader has the base URL that a request is for.
	toHeader = "Peercache-To"

	// These have the span that the request is part of, as W3C Trace Context says, so that what
	// stands between the peers knows it too.
	traceparentHeader = "Traceparent"
	tracestateHeader  = "Tracestate"
)

// setTrace sets the headers for a peer.Query's Trace.
func setTrace(header http.Header, trace string) {
	parent, state := peer.SplitTrace(trace)
	if parent != "" {
		header[traceparentHeader] = []string{parent}
	}
	if state != "" {
		header[tracestateHeader] = []string{state}
	}
}

// traceOf returns the Trace of a request by its headers, or nothing if they have none that is valid.
func traceOf(header http.Header) string {
	parents := header[traceparentHeader]
	if len(parents) != 1 {
		return ""
	}
	return peer.JoinTrace(parents[0], strings.Join(header[tracestateHeader], ","))
}

// identityOf returns the identity that the headers of a request or a response tell.
func identityOf(header http.Header) peer.Identity {
	process, _ := strconv.ParseUint(header.Get(processHeader), 10, 32)
	return peer.Identity{Name: header.Get(peerHeader), Process: uint32(process), Cluster: header.Get(clusterHeader)}
}

// identities sets the headers that tell who a process is. All requests, and all responses, of one
// process share the values of these headers. The zero value is ready for use.
type identities struct{ last atomic.Pointer[identified] }

// identified is an identity and its headers, which are not changed.
type identified struct {
	who    peer.Identity
	header http.Header
}

// set sets the headers for who in the headers of a request or a response.
func (i *identities) set(header http.Header, who peer.Identity) {
	last := i.last.Load()
	if last == nil || last.who != who {
		last = &identified{who, http.Header{
			peerHeader:    {who.Name},
			processHeader: {strconv.FormatUint(uint64(who.Process), 10)},
		}}
		if who.Cluster != "" {
			last.header[clusterHeader] = []string{who.Cluster}
		}
		i.last.Store(last)
	}
	maps.Copy(header, last.header)
}

// escapeSegment escapes s so that it is one segment of a URL's path, which no mux that looks at
// the escaped path takes for something else.
func escapeSegment(s string) string {
	if s == "." || s == ".." {
		return strings.ReplaceAll(s, ".", "%2E")
	}
	return strings.ReplaceAll(url.PathEscape(s), "+", "%2B")
}

// splitPath returns the group and the key of a GET by its escaped path.
func (s *Server) splitPath(path string) (group, key string, err error) {
	group, key, ok := strings.Cut(path, "/")
	if !ok {
		return "", "", fmt.Errorf("peercache: want %s{group}/{key}", s.cfg.BasePath)
	}
	unescape := url.PathUnescape
	if s.cfg.Groupcache {
		// The client of golang/groupcache escapes as for a query, where a space is "+".
		// Its server does not undo that, but this one can: a plus arrives as "%2B".
		unescape = url.QueryUnescape
	}
	if group, err = unescape(group); err == nil {
		key, err = unescape(key)
	}
	if err != nil {
		return "", "", fmt.Errorf("peercache: %w", err)
	}
	return group, key, nil
}

// statusOf is the HTTP status of each kind of error, for software on the way. The peer that asked
// looks at the kind alone.
var statusOf = map[pb.Error_Kind]int{
	pb.Error_KIND_NOT_FOUND:     http.StatusNotFound,
	pb.Error_KIND_UNKNOWN_GROUP: http.StatusNotFound,
	pb.Error_KIND_INVALID:       http.StatusBadRequest,
	pb.Error_KIND_SHUTTING_DOWN: http.StatusServiceUnavailable,
	pb.Error_KIND_UNAUTHORIZED:  http.StatusForbidden,
	pb.Error_KIND_TIMEOUT:       http.StatusGatewayTimeout,
}
