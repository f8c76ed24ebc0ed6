package httppeer

import (
	"net/http"
	"strconv"

	"github.com/peercache/peercache/peer"
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
