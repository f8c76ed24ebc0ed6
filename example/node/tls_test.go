//go:build unix

package node

import (
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peercache/peercache/internal/testca"
)

// TestTLS has three processes with certificates, over the sources of the Go distribution. Their
// certificates and their CA are rotated, twice, under 64 readers: no Get fails, and nothing is
// loaded again. In the end those who have not what it takes get nothing, and the log says why.
func TestTLS(t *testing.T) {
	c := &tlsCluster{cas: []*testca.CA{testca.New(t, "CA 0")}}
	src := goSources(t)
	var each [][]string
	for range 3 {
		dir := testca.NewDir(t)
		dir.Write(c.cas[0].Sign(testca.Template("127.0.0.1")), c.cas[0])
		c.dirs = append(c.dirs, dir)
		each = append(each, append(sourcesArgs(src), tlsArgs(dir)...))
	}
	c.nodes = startEach(t, each)
	c.files = askForAll(t, c.nodes, src)
	c.rotate(t)
	if t.Failed() {
		return
	}
	old, now := c.cas[1], c.cas[2]
	for _, s := range []stranger{
		{"the CA of before the rotation", files(t, old, "127.0.0.1"), "remote error: tls: bad certificate", false},
		{"a certificate of that CA", configs(t, old, "127.0.0.1"), "signed by unknown authority", false},
		{"no certificate", &identity{client: &tls.Config{InsecureSkipVerify: true}}, "client didn't provide a certificate", false},
		{"another identity", files(t, now, "metrics.example"), "may not call itself", true},
	} {
		t.Run(s.name, func(t *testing.T) { c.refuses(t, s) })
	}
}

// tlsArgs are the flags of a node that has these files.
func tlsArgs(dir *testca.Dir) []string {
	return []string{"-tls-cert", dir.Cert, "-tls-key", dir.Key, "-tls-ca", dir.CA, "-tls-every", "20ms"}
}

// tlsCluster is the processes of TestTLS.
type tlsCluster struct {
	nodes []*process
	dirs  []*testca.Dir // by node
	files map[string][sha256.Size]byte
	cas   []*testca.CA // the last one is in use
}

// rotate replaces certificates and CAs in three steps, as operators do, while readers read: both
// CAs, then new certificates, then the new CA alone. It does so twice.
func (c *tlsCluster) rotate(t *testing.T) {
	client := newClient(t, atOnce)
	before := stats(t, client, c.nodes)
	keys := slices.Collect(maps.Keys(c.files))
	var readers sync.WaitGroup
	var stop atomic.Bool
	end := func() { stop.Store(true); readers.Wait() }
	defer end()
	var gets atomic.Int64
	for range atOnce {
		readers.Go(func() {
			for !stop.Load() {
				key := keys[rand.IntN(len(keys))]
				if err := checkHash(client, c.nodes[rand.IntN(len(c.nodes))], key, c.files[key]); err != nil {
					t.Error(err)
					return
				}
				gets.Add(1)
			}
		})
	}
	for round := range 2 {
		old, next := c.cas[round], testca.New(t, fmt.Sprint("CA ", round+1))
		c.cas = append(c.cas, next)
		c.write(t, old, old, next)
		c.write(t, next, old, next)
		c.write(t, next, next)
	}
	end()

	after := stats(t, client, c.nodes)
	t.Logf("%d Gets, %d values of peers", gets.Load(), after.PeerLoads-before.PeerLoads)
	if after.Loads != before.Loads || after.PeerErrors != before.PeerErrors {
		t.Errorf("%d loads during the rotation, and %d times a peer was not reached: want none", after.Loads-before.Loads, after.PeerErrors-before.PeerErrors)
	}
	for _, n := range c.nodes {
		// A step may come before the streams of the step before are closed, which are ended then.
		if lines := n.stderr.lines("level=WARN"); len(lines) > len(n.stderr.lines("the stream of a peer is ended")) {
			t.Errorf("warnings of a rotation without a fault: %s", lines)
		}
	}
}

// write gives all nodes a new certificate, and new CAs, and waits until they are in use, for all
// streams too, and have carried values.
func (c *tlsCluster) write(t *testing.T, sign *testca.CA, cas ...*testca.CA) {
	t.Helper()
	certs := make([]tls.Certificate, len(c.nodes))
	for i, dir := range c.dirs {
		certs[i] = sign.Sign(testca.Template("127.0.0.1"))
		dir.Write(certs[i], cas...)
	}
	// What the nodes have now accepts the certificates of sign already.
	probe := &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{sign.Sign(testca.Template("127.0.0.1"))}}
	client := newClient(t, 1)
	for i, n := range c.nodes {
		until(t, "a node shows its new certificate", func() bool {
			conn, err := tls.Dial("tcp", strings.TrimPrefix(n.peer, "https://"), probe)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			return conn.ConnectionState().PeerCertificates[0].Equal(certs[i].Leaf)
		})
	}
	for i, n := range c.nodes {
		loads := func() int64 { return stats(t, client, c.nodes[i:][:1]).PeerLoads }
		before := loads()
		until(t, n.peer+" gets values of peers", func() bool { return loads() >= before+8 })
	}
}

// until waits for what other processes do.
func until(t *testing.T, what string, happened func() bool) {
	t.Helper()
	late := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !happened() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("it did not happen that %s", what)
		}
	}
}

// Without the files that it is told of, a process ends, and says why.
func TestTLSWithoutFiles(t *testing.T) {
	dir := testca.NewDir(t)
	p, err := tryStart(t, nodeReady, append([]string{"-port", "0"}, tlsArgs(dir)...)...)
	if p != nil || !strings.Contains(err.Error(), "-tls-cert: peertls: stat "+dir.Cert) || !strings.Contains(err.Error(), "exit status 1") {
		t.Errorf("%v: want status 1 and why", err)
	}
}
