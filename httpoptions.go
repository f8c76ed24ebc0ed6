package peercache

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/peercache/peercache/internal/httppeer"
	"github.com/peercache/peercache/peer"
	"github.com/peercache/peercache/peertls"
)

const (
	// DefaultBasePath is where a pool answers its peers.
	DefaultBasePath = "/_peercache/"

	groupcacheBasePath = "/_groupcache/"
	groupcacheReplicas = 50
)

// httpOption is an option of HTTP alone, which NewPool refuses by its name.
func httpOption(name string, set PoolOption) PoolOption {
	return func(o *poolOptions) error {
		o.http = append(o.http, name)
		return set(o)
	}
}

// WithBasePath sets the path under which peers ask each other, the same on all
// of them. It begins and ends with a slash, and has only letters, digits, '-',
// '_', '.' and '~' in between. The default is DefaultBasePath, or that of
// WithGroupcacheCompat.
func WithBasePath(path string) PoolOption {
	return httpOption("WithBasePath", func(o *poolOptions) error {
		if !strings.HasPrefix(path, "/") || !strings.HasSuffix(path, "/") || strings.Contains(path, "//") {
			return fmt.Errorf("WithBasePath(%q): want a path that begins and ends with one slash, such as %q", path, DefaultBasePath)
		}
		for segment := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
			if segment != "" && !plainSegment(segment) {
				return fmt.Errorf("WithBasePath(%q): want only letters, digits, '-', '_', '.' and '~' between the slashes", path)
			}
		}
		o.basePath = path
		return nil
	})
}

// plainSegment reports whether s, as a segment of a URL's path, stands for
// itself everywhere.
func plainSegment(s string) bool {
	if s == "." || s == ".." {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~") == ""
}

// WithPeerTimeout bounds one request to a peer by the plain way. It must leave the peer
// enough time for a load: otherwise a slow origin looks like a peer that is gone, and keys
// are loaded twice. The default is the group's load timeout and a second; math.MaxInt64 means
// no bound. It must not be shorter than the detection time, which bounds the wait for a peer
// that is silent (WithDetectionTime). It has no effect on a stream.
func WithPeerTimeout(d time.Duration) PoolOption {
	return httpOption("WithPeerTimeout", func(o *poolOptions) error {
		if d <= 0 {
			return fmt.Errorf("WithPeerTimeout(%v): want more than 0", d)
		}
		o.peerTimeout = d
		return nil
	})
}

// WithLargeValue sets the size, in bytes, above which a value takes the plain way: a request
// and a connection of its own, where it holds up no other answers. The default is 256 KiB. It
// cannot be combined with WithoutStream.
func WithLargeValue(n int) PoolOption {
	return httpOption("WithLargeValue", func(o *poolOptions) error {
		if n < 1 || n > peer.MaxValueBytes {
			return fmt.Errorf("WithLargeValue(%d): want 1 to %d", n, peer.MaxValueBytes)
		}
		o.stream.LargeValue = n
		return nil
	})
}

// DefaultMaxLargeRequests is the default of WithMaxLargeRequests.
const DefaultMaxLargeRequests = 32

// WithMaxLargeRequests bounds how many large values (WithLargeValue) this process asks one
// peer for at the same time, each on a connection of its own and in memory as a whole.
// Further requests wait, except those that a load waits for. It has no effect on a pool
// WithoutStream, where all values take the plain way. The default is
// DefaultMaxLargeRequests.
func WithMaxLargeRequests(n int) PoolOption {
	return httpOption("WithMaxLargeRequests", func(o *poolOptions) error {
		if n < 1 {
			return fmt.Errorf("WithMaxLargeRequests(%d): want at least 1", n)
		}
		o.largeRequests = n
		return nil
	})
}

// WithoutStream makes the pool ask and answer without a stream, by one HTTP request a key. It is
// for networks in which nothing else gets through, and many times slower.
func WithoutStream() PoolOption {
	return httpOption("WithoutStream", func(o *poolOptions) error {
		o.streams = false
		return nil
	})
}

// WithGroupcacheCompat makes the pool a good peer of golang/groupcache's
// HTTPPool with its default options: the base path is /_groupcache/, unless there is a
// WithBasePath, and the ring is groupcache's, 50 replicas and CRC-32. So a fleet may be
// changed over one process at a time. Base URLs may be spelled as they are on the ring of the
// others, also with the port of their scheme. golang/groupcache proves nothing, so the pool needs a
// WithInsecure as well. It cannot be combined with WithHandover.
func WithGroupcacheCompat() PoolOption {
	return httpOption("WithGroupcacheCompat", func(o *poolOptions) error {
		o.compat = true
		return nil
	})
}

// WithRequestMemory bounds the memory, in bytes, that the bodies of all requests by the
// plain way take together. A body counts with the bytes that have arrived, at least 16 KiB,
// from the first one until it is read or, if it is a change, answered. Beyond the bound a
// request is refused with HTTP status 429, and a peer tries again a little later. A request
// that is alone is never refused, so that a value larger than n can be set. The least is
// 4 MiB, the default is DefaultRequestMemory.
func WithRequestMemory(n int64) PoolOption {
	return httpOption("WithRequestMemory", func(o *poolOptions) error {
		if n < httppeer.MaxRequestBytes {
			return fmt.Errorf("WithRequestMemory(%d): want at least %d, the bytes of one change", n, httppeer.MaxRequestBytes)
		}
		o.requestBytes = n
		return nil
	})
}

// WithAnswerMemory bounds the bytes of values in all answers that are being written by the
// plain way: whoever does not read keeps them in memory. Beyond the bound a request is refused with HTTP status 429, and a peer tries again
// a little later. An answer that is alone is never refused. The least is 1 MiB, the default
// is DefaultAnswerMemory.
func WithAnswerMemory(n int64) PoolOption {
	return httpOption("WithAnswerMemory", func(o *poolOptions) error {
		if n < 1<<20 {
			return fmt.Errorf("WithAnswerMemory(%d): want at least %d bytes", n, 1<<20)
		}
		o.answerBytes = n
		return nil
	})
}

// WithRequestTimeout bounds the time in which the body of a request by the plain way arrives,
// d and as much again for each 4 MiB of it, and the time in which the asker reads each 256 KiB
// of an answer. Whoever takes longer loses the connection. For answers it replaces the server's
// WriteTimeout, which would count a load as well. It is 1 ms to 1 hour, the default is
// DefaultRequestTimeout.
func WithRequestTimeout(d time.Duration) PoolOption {
	return httpOption("WithRequestTimeout", func(o *poolOptions) error {
		if d < time.Millisecond || d > time.Hour {
			return fmt.Errorf("WithRequestTimeout(%v): want 1ms to 1h", d)
		}
		o.requestTimeout = d
		return nil
	})
}

// The defaults of the options that bound what requests by the plain way take.
const (
	DefaultRequestMemory  = 256 << 20 // bytes
	DefaultAnswerMemory   = 512 << 20 // bytes
	DefaultRequestTimeout = 10 * time.Second
)

// WithHosts adds host names that requests may have in their Host header, without a port: for
// instance the name that a proxy writes there. The host of the pool's base URL, IP addresses
// and names without a dot are always allowed. The pool refuses any other name with HTTP
// status 403, because the request may come from a web page whose name resolves to this
// process. Peers may use any name, except those of golang/groupcache and of versions before
// this option.
func WithHosts(names ...string) PoolOption {
	return httpOption("WithHosts", func(o *poolOptions) error {
		for _, name := range names {
			if u, err := url.Parse("http://" + name); err != nil || name == "" || u.Host != name || u.Port() != "" || strings.Contains(name, ":") {
				return fmt.Errorf("WithHosts(%q): want host names without a port, such as cache.example", name)
			}
			o.hosts = append(o.hosts, httppeer.HostName(name))
		}
		return nil
	})
}

// WithStreamLimits bounds what streams cost this process on which others ask it.
func WithStreamLimits(l StreamLimits) PoolOption {
	return httpOption("WithStreamLimits", func(o *poolOptions) error {
		if err := httppeer.Limits(l).WithDefaults().Check(); err != nil {
			return fmt.Errorf("WithStreamLimits: %w", err)
		}
		o.limits = httppeer.Limits(l)
		return nil
	})
}

// StreamLimits bound what streams cost this process on which others ask it. A field that is
// zero has its default; the defaults are for fleets of up to 1,000 peers.
type StreamLimits struct {
	// Streams bounds those that are open at one time: 4,096. Names that are not in the
	// view have half of them at most. A request for one more gets the status 503, and the
	// peer tries again later.
	Streams int
	// StreamsPerPeer bounds those of one name: 32. A peer has one, and those that it has
	// given up and this process has not noticed.
	StreamsPerPeer int

	// Loads bounds what is loaded at one time for all streams, 8,192, and LoadsPerStream
	// what is loaded for one, 1,024. A batch counts as one load for each of its keys, up to
	// 32, or for each 32 keys if that is more. A key beyond it waits for a load to end. If
	// none does for 2 seconds it is refused, because getters may be waiting for each other
	// over several processes: the asker goes to the next peer, and in the end loads the key
	// itself. Keys that getters ask for are counted by themselves: there may be four times
	// as many, and one more is refused at once.
	Loads, LoadsPerStream int
	// Changes bounds the changes that wait for other peers, 2,048, and ChangesPerStream
	// those of one stream, 256. One beyond it waits for another to end.
	Changes, ChangesPerStream int

	// RequestBytes bounds what the requests of all streams cost that are not answered from
	// a cache, in bytes: 64 MiB, and at least 8 MiB. One beyond it is refused.
	RequestBytes int
	// AnswerBytes bounds the loaded values that peers have not read, in bytes: 64 MiB for all
	// streams, of which one has 16 MiB at most. One that has to wait counts 8 KiB more. For
	// one beyond it the peer is told to ask by the plain way.
	AnswerBytes int
	// FrameBytes bounds the buffers for requests of more than 64 KiB that are not whole yet, in
	// bytes: 256 MiB, half of it for names that are not in the view, and at least 16 MiB. More
	// than 64 KiB of such a request is read when there is room.
	FrameBytes int

	// HelloTimeout is how long a peer may take for the first frame, 5 s, and FrameTimeout
	// how long from when a frame begins to arrive until it is whole, 10 s. Then the stream
	// ends.
	HelloTimeout, FrameTimeout time.Duration
}

// DefaultTransport returns what a pool uses without a WithTransport, a new one at each call:
// to be changed, and given to WithTransport. It uses no proxy, gives up dialling after two
// seconds and a TLS handshake after five, keeps up to 64 idle connections a peer for 90 s,
// asks for no compression, and takes 64 KiB of headers.
//
//	t := peercache.DefaultTransport()
//	t.TLSClientConfig = &tls.Config{RootCAs: ours}
//	pool, err := peercache.NewHTTPPool(self, peercache.WithTransport(t), peercache.WithSecrets(secret))
func DefaultTransport() *http.Transport {
	return &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 2 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout: 5 * time.Second,
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     90 * time.Second,
		DisableCompression:  true,

		MaxResponseHeaderBytes: httppeer.MaxHeaderBytes,
	}
}

// WithTLS makes peers verify each other by certificates: see package peertls, whose Files, New and
// Configs make a source. All base URLs begin with https:// then, this process's and those of its
// peers. Whoever asks must have a certificate that is accepted, and may call itself only what that
// says. New certificates and new CAs are used without a restart: the pool opens its streams to the
// peers anew, one after the other, and ends those of peers whose certificate is not accepted any
// more. Serve the pool by Server, or by a server that has the source's configuration as its
// TLSConfig. All processes need the option: with some of them without, those are refused. Beside a
// WithTransport, which must be an http.Transport with nothing of TLS, it speaks TLS on the connections
// that its DialContext makes.
func WithTLS(source *peertls.Source) PoolOption {
	return httpOption("WithTLS", func(o *poolOptions) error {
		if source == nil {
			return errors.New("WithTLS(nil): want a source, such as that of peertls.Files")
		}
		o.tls = source
		return nil
	})
}

// WithSecrets makes peers prove to each other that they have a secret in common: at the start of
// each stream, and with each request by the plain way. The secret is never sent, and a proof is of no
// use to somebody who overhears it. Whoever has no secret of this process gets nothing. current is
// what all processes should have; previous ones are accepted too. To replace a secret, deploy the
// new one as a previous one first, then as the current one with the old one as a previous one, then
// without the old one. A secret has at least 16 bytes, best 32 random ones, as from "openssl rand
// -base64 32". There are at most 4.
//
// A secret keeps strangers out. It does not hide what peers say from those who can read the network,
// nor stops those who can change what is on its way: that takes a WithTLS, alone or beside it.
func WithSecrets(current string, previous ...string) PoolOption {
	return httpOption("WithSecrets", func(o *poolOptions) error {
		all := append([]string{current}, previous...)
		if len(all) > httppeer.MaxSecrets {
			return fmt.Errorf("WithSecrets: %d secrets: want at most %d", len(all), httppeer.MaxSecrets)
		}
		o.secrets = nil
		for i, text := range all {
			if text == "" {
				return fmt.Errorf("WithSecrets: secret %d is empty: want at least %d bytes, such as those of openssl rand -base64 32; is the variable set that it comes from?", i, leastSecret)
			}
			if len(text) < leastSecret {
				return fmt.Errorf("WithSecrets: secret %d has %d bytes: want at least %d", i, len(text), leastSecret)
			}
			o.secrets = append(o.secrets, httppeer.NewSecret(text))
		}
		return nil
	})
}

// leastSecret is the least that a secret has, in bytes.
const leastSecret = 16

// WithAuthenticator makes f say who sends a request, for instance by a header that a proxy of a mesh
// sets after it has verified the sender. It returns the sender's name, its base URL, which is let in
// if it is on the list (WithAccess), or "" for a peer that may call itself by any name. An error
// refuses the request, and is logged, not sent. f is called for each request by the plain way and
// once for each stream, concurrently.
func WithAuthenticator(f func(r *http.Request) (name string, err error)) PoolOption {
	return httpOption("WithAuthenticator", func(o *poolOptions) error {
		if f == nil {
			return errors.New("WithAuthenticator(nil): want a func")
		}
		o.authenticator = f
		return nil
	})
}

// WithInsecure lets in whoever reaches the pool: they can read, change and clear what is cached. It
// is for a network that lets in nobody but the peers, for a server that verifies them itself, and
// for WithGroupcacheCompat, since golang/groupcache proves nothing. Without it, and without
// WithSecrets, WithTLS or WithAuthenticator, NewHTTPPool takes only a loopback address. It cannot be
// combined with any of these. The logger of WithPoolLogger gets one warning, unless the pool's own
// address is a loopback one.
func WithInsecure() PoolOption {
	return httpOption("WithInsecure", func(o *poolOptions) error {
		o.insecure = true
		return nil
	})
}

// WithTransport makes the pool send its requests by rt, for instance one that
// speaks TLS with certificates of the user's own. Start from DefaultTransport: the pool
// adds nothing to rt. If rt is an http.Transport that dials without a timeout, sends
// requests for peers to a proxy, keeps few idle connections or none, or gives up on slow
// answers, the logger of WithPoolLogger gets one warning. HTTP/2 has no upgrade: the pool
// uses an http.Transport that prefers it with HTTP/1.1 for streams. Through any other
// transport that prefers HTTP/2, it asks peers by the plain way alone.
func WithTransport(rt http.RoundTripper) PoolOption {
	return httpOption("WithTransport", func(o *poolOptions) error {
		if t, ok := rt.(*http.Transport); rt == nil || ok && t == nil {
			return errors.New("WithTransport(nil): want an http.RoundTripper")
		}
		o.roundTripper = rt
		return nil
	})
}
