package httppeer

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/peercache/peercache/pb"
	"github.com/peercache/peercache/peer"
)

// The requests of the plain protocol, relative to the base path:
//
//	GET  {group}/{key}    GetResponse      as golang/groupcache's
//	POST get              GetResponse      a GetRequest in the body: any key
//	POST change           ChangeResponse   a ChangeRequest in the body
//
// Headers say who asks, who is asked, and who answers: see identity.go. A GET of the base path
// itself, with the header "Upgrade: peercache", begins a stream on the connection: see the
// package stream.
const (
	getPath    = "get"
	changePath = "change"

	contentType = "application/x-protobuf"
)

// A request to a peer names who asks, and whom; the response names who answers. So a
// process whose self is wrong, two processes behind one address, and a peer of another
// cluster are found out before they count as the peer that was asked for.
const (
	// peerHeader has the base URL of the process that sends the request, or the response.
	peerHeader = "Peercache-Peer"
	// processHeader has its number (consent.process), which tells it from others at the
	// same address, before it or beside it.
	processHeader = "Peercache-Process"
	// clusterHeader has the name of its cluster, if it has one: see WithCluster.
	clusterHeader = "Peercache-Cluster"
	// toHeader has the base URL that a request is for.
	toHeader = "Peercache-To"
)

// identityOf reads the headers of a request or a response.
func identityOf(header http.Header) peer.Identity {
	process, _ := strconv.ParseUint(header.Get(processHeader), 10, 32)
	return peer.Identity{Name: header.Get(peerHeader), Process: uint32(process), Cluster: header.Get(clusterHeader)}
}

// identify puts who this process is into the headers of a request or a response.
func identify(header http.Header, who peer.Identity) {
	header[peerHeader] = []string{who.Name}
	header[processHeader] = []string{strconv.FormatUint(uint64(who.Process), 10)}
	if who.Cluster != "" {
		header[clusterHeader] = []string{who.Cluster}
	}
}

// address puts into the headers of a request who asks and who is asked, and that it is no browser
// who asks.
func address(header http.Header, from peer.Identity, to string) {
	identify(header, from)
	header.Set(toHeader, to)
	header[peerOnlyHeader] = peerOnly
}

// protocolName is what a stream is called in the Upgrade header of HTTP.
const protocolName = "peercache"

// errRedirected says that a mux on the way takes the path of a request for
// another one. The key has to go in the body then.
var errRedirected = errors.New("redirected")

// escapeSegment puts s into a form in which a URL's path has it as one segment,
// which no mux that looks at the escaped path takes for something else.
func escapeSegment(s string) string {
	if s == "." || s == ".." {
		return strings.ReplaceAll(s, ".", "%2E")
	}
	return strings.ReplaceAll(url.PathEscape(s), "+", "%2B")
}

// splitPath takes the group and the key from the escaped path of a GET.
func (s *Server) splitPath(path string) (group, key string, err error) {
	group, key, ok := strings.Cut(path, "/")
	if !ok {
		return "", "", fmt.Errorf("peercache: want %s{group}/{key}", s.cfg.BasePath)
	}
	unescape := url.PathUnescape
	if s.cfg.Groupcache {
		// groupcache's client escapes as for a query, where a space is "+". Its
		// server does not undo that, but this one can: a plus comes as "%2B".
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

// statusOf gives each kind of error a status that other software on the way
// understands. What counts for the asking peer is the kind.
var statusOf = map[pb.Error_Kind]int{
	pb.Error_KIND_NOT_FOUND:     http.StatusNotFound,
	pb.Error_KIND_UNKNOWN_GROUP: http.StatusNotFound,
	pb.Error_KIND_INVALID:       http.StatusBadRequest,
	pb.Error_KIND_SHUTTING_DOWN: http.StatusServiceUnavailable,
	pb.Error_KIND_TIMEOUT:       http.StatusGatewayTimeout,
}
