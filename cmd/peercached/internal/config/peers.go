package config

import (
	"net/netip"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/discovery"
	"github.com/peercache/peercache/origin"
	"github.com/peercache/peercache/peertls"
)

// Peers is this node among its peers.
type Peers struct {
	Listen     string    `yaml:"listen" want:"HOST:PORT" help:"where peers come"`
	Self       string    `yaml:"self" want:"a URL, such as http://10.0.0.1:8001" help:"this node, as its peers reach it" unset:"http:// or https:// and the address of peers.listen, if others can use it"`
	Discovery  Discovery `yaml:"discovery" help:"how the peers are found: one of these"`
	Cluster    string    `yaml:"cluster" want:"letters, digits, '-', '_', '.', '~'" help:"the name of the cluster; peers of another one are refused" unset:"none"`
	OwnNothing bool      `yaml:"own_nothing" help:"own no keys: ask peers for all of them, as a gateway does"`

	Secret          Secret   `yaml:"secret" want:"a text, {file: …} or {env: …}" help:"what peers have in common to prove that they belong together, at least 16 bytes" unset:"none; then listen on loopback, or use tls or insecure"`
	PreviousSecrets []Secret `yaml:"previous_secrets" help:"other secrets that are accepted, while a new one is rolled out" unset:"none"`
	TLS             *PeerTLS `yaml:"tls" help:"certificates by which peers know each other" unset:"in the clear"`
	Insecure        bool     `yaml:"insecure" help:"let in whoever reaches this node"`
	Access          []Access `yaml:"access" help:"what peers may do beyond or below the default; the first rule that fits counts" unset:"the default"`
	Filter          Filter   `yaml:"filter" help:"which peers of a discovery are accepted"`
	Hosts           []string `yaml:"hosts" want:"host names" help:"further names that requests of peers may have in their Host header" unset:"that of self, addresses and names without a dot"`

	DetectionTime time.Duration `yaml:"detection_time" help:"how long a peer that owes an answer may be silent before its keys go to the next one"`
	PeerTimeout   time.Duration `yaml:"peer_timeout" help:"the longest time of one request by the plain way" unset:"the group's load_timeout and a second"`
	Handover      Handover      `yaml:"handover" help:"what is handed over after a change of the peers"`
	NoStream      bool          `yaml:"no_stream" help:"one HTTP request a key, for networks in which nothing else gets through; many times slower"`
	BasePath      string        `yaml:"base_path" want:"/…/" help:"the path under which peers ask each other; the same in all nodes"`
	Groupcache    bool          `yaml:"groupcache_compat" help:"be a good peer of golang/groupcache, to change a fleet over one process at a time"`

	MaxPeers         int          `yaml:"max_peers" help:"the most peers of a view"`
	ReconnectRate    int          `yaml:"reconnect_rate" help:"attempts a second to reach peers that are away, all together"`
	ViewChangeRate   int          `yaml:"view_change_rate" help:"changes of the view a second that peers may cause"`
	MaxUnproven      int          `yaml:"max_unproven" help:"requests for changes that may wait at the same time, of senders that have not proven who they are"`
	LargeValue       origin.Bytes `yaml:"large_value" help:"a value above that takes a connection of its own"`
	MaxLargeRequests int          `yaml:"max_large_requests" help:"large values that one peer is asked for at the same time"`

	RequestMemory  origin.Bytes  `yaml:"request_memory" help:"the bodies of all requests by the plain way, in memory"`
	AnswerMemory   origin.Bytes  `yaml:"answer_memory" help:"the values that are being written by the plain way, in memory"`
	RequestTimeout time.Duration `yaml:"request_timeout" help:"the time in which a body arrives, for each 4 MiB of it"`
	Limits         Limits        `yaml:"limits" help:"what others may cost this node"`
	StreamLimits   StreamLimits  `yaml:"stream_limits" help:"what streams of others may cost this node"`
}

// SetDefaults implements conf.Defaulter.
func (p *Peers) SetDefaults() {
	*p = Peers{
		Listen: "127.0.0.1:8001", DetectionTime: 500 * time.Millisecond, BasePath: peercache.DefaultBasePath,
		Handover: Handover{Bytes: peercache.DefaultHandoverBytes, Time: peercache.DefaultHandoverTime},
		MaxPeers: peercache.DefaultMaxPeers, ReconnectRate: peercache.DefaultReconnectRate, ViewChangeRate: peercache.DefaultViewChangeRate,
		MaxUnproven: peercache.DefaultMaxUnproven, LargeValue: 256 << 10, MaxLargeRequests: peercache.DefaultMaxLargeRequests,
		RequestMemory: peercache.DefaultRequestMemory, AnswerMemory: peercache.DefaultAnswerMemory, RequestTimeout: peercache.DefaultRequestTimeout,
		Limits: Limits{Unproven: 1024, UnprovenTime: 10 * time.Second, IdlePerPeer: 256, PlainRequests: 8192, ChangesPerSecond: 50_000},
		StreamLimits: StreamLimits{Streams: 4096, StreamsPerPeer: 32, Loads: 8192, LoadsPerStream: 1024, Changes: 2048, ChangesPerStream: 256,
			RequestBytes: 64 << 20, AnswerBytes: 64 << 20, FrameBytes: 256 << 20, HelloTimeout: 5 * time.Second, FrameTimeout: 10 * time.Second},
	}
}

// Discovery says how peers are found.
type Discovery struct {
	Static     []string    `yaml:"static" reload:"yes" want:"URLs" help:"the base URLs of all nodes, this one among them; the same list in all of them" unset:"this node alone, if there is no other discovery"`
	File       *File       `yaml:"file" help:"a file with one base URL a line, which somebody else writes" unset:"not used"`
	DNS        *DNS        `yaml:"dns" help:"the addresses of a name" unset:"not used"`
	Etcd       *Etcd       `yaml:"etcd" help:"keys in etcd" unset:"not used"`
	Gossip     *Gossip     `yaml:"gossip" help:"no server: nodes tell each other" unset:"not used"`
	Kubernetes *Kubernetes `yaml:"kubernetes" help:"the pods of a service" unset:"not used"`
	Gateways   *Gateways   `yaml:"gateways" help:"where the nodes that own nothing are found, if those above do not find them; the same in all nodes" unset:"they register themselves (etcd, gossip), or are listed as URL#owns=nothing"`
}

// Gateways is a discovery of nodes that own nothing, beside one of owners that registers nobody.
type Gateways struct {
	File       *File       `yaml:"file" help:"a file with one base URL a line" unset:"not used"`
	DNS        *DNS        `yaml:"dns" help:"the addresses of a name" unset:"not used"`
	Kubernetes *Kubernetes `yaml:"kubernetes" help:"the pods of a service" unset:"not used"`
}

// File is discovery.File.
type File struct {
	Path string        `yaml:"path,short" want:"a file" exists:"file" help:"the list of peers"`
	Poll time.Duration `yaml:"poll" help:"the time between two looks"`
}

// SetDefaults implements conf.Defaulter.
func (f *File) SetDefaults() { f.Poll = discovery.DefaultFilePoll }

// DNS is discovery.DNS and discovery.SRV.
type DNS struct {
	URL         string        `yaml:"url,short" want:"a URL, such as http://peers.shop.svc:8001" help:"the base URL of every peer, with the name in place of the address"`
	SRV         bool          `yaml:"srv" help:"look SRV records up, which have hosts and ports"`
	Poll        time.Duration `yaml:"poll" help:"the time between two looks"`
	KeepMissing time.Duration `yaml:"keep_missing" help:"how long a peer stays that an answer lacks"`
}

// SetDefaults implements conf.Defaulter.
func (d *DNS) SetDefaults() {
	d.Poll, d.KeepMissing = discovery.DefaultDNSPoll, discovery.DefaultKeepMissing
}

// Etcd is etcd.NewFromConfig.
type Etcd struct {
	Endpoints []string      `yaml:"endpoints" want:"URLs" help:"where etcd listens"`
	Prefix    string        `yaml:"prefix" want:"/…/" help:"the keys of this cluster"`
	LeaseTTL  time.Duration `yaml:"lease_ttl" help:"for how long the key of a node that died is there"`
	User      string        `yaml:"user" help:"the user" unset:"none"`
	Password  Secret        `yaml:"password" help:"the password" unset:"none"`
	TLS       *ClientTLS    `yaml:"tls" help:"certificates for https endpoints" unset:"the CAs of the system"`
}

// SetDefaults implements conf.Defaulter.
func (e *Etcd) SetDefaults() { e.Prefix, e.LeaseTTL = "/peercache/peercached/", 10*time.Second }

// ClientTLS is what a client needs to trust a server, and to be trusted.
type ClientTLS struct {
	CA   string `yaml:"ca" want:"a file" exists:"file" help:"the CAs of the server, PEM" unset:"those of the system"`
	Cert string `yaml:"cert" want:"a file" exists:"file" help:"the certificate of this client, PEM" unset:"none"`
	Key  string `yaml:"key" want:"a file" exists:"file" help:"its key, PEM" unset:"none"`
}

// Gossip is gossip.New.
type Gossip struct {
	Bind         string   `yaml:"bind" want:"HOST:PORT" help:"where this node listens for gossip, by TCP and UDP"`
	Join         []string `yaml:"join" want:"HOST:PORT" help:"where other nodes may be met; two or three are enough" unset:"wait for others"`
	Advertise    string   `yaml:"advertise" want:"HOST:PORT" help:"where others reach the gossip of this node" unset:"the address of bind"`
	Key          Secret   `yaml:"key" want:"16, 24 or 32 bytes, in base64 or as they are" help:"what encrypts all gossip" unset:"gossip is in the clear"`
	PreviousKeys []Secret `yaml:"previous_keys" help:"other keys that are understood, while a new one is rolled out" unset:"none"`
	Profile      string   `yaml:"profile" want:"lan, wan or local" help:"how fast and how often members probe each other"`
	MaxMembers   int      `yaml:"max_members" help:"how many members this node knows at most"`
}

// SetDefaults implements conf.Defaulter.
func (g *Gossip) SetDefaults() { g.Bind, g.Profile, g.MaxMembers = "0.0.0.0:7946", "lan", 8192 }

// Kubernetes is kubernetes.New.
type Kubernetes struct {
	Service   string `yaml:"service,short" help:"the service whose pods are the peers"`
	Namespace string `yaml:"namespace" help:"its namespace" unset:"that of the pod"`
	Port      string `yaml:"port" want:"a number or a name" help:"the port of the peers" unset:"that of peers.self"`
}

// PeerTLS is peertls.Files.
type PeerTLS struct {
	Cert       string        `yaml:"cert" want:"a file" exists:"file" help:"the certificate of this node, PEM, for servers and clients"`
	Key        string        `yaml:"key" want:"a file" exists:"file" help:"its key, PEM"`
	CA         string        `yaml:"ca" want:"a file" exists:"file" help:"the CAs of all nodes, PEM"`
	Identities []string      `yaml:"identities" want:"URIs, such as spiffe://prod.example/ns/shop/sa/*" help:"URIs in certificates that are accepted beside host names" unset:"none"`
	Every      time.Duration `yaml:"every" help:"the time between two looks whether the files have changed"`
}

// SetDefaults implements conf.Defaulter.
func (t *PeerTLS) SetDefaults() { t.Every = peertls.DefaultEvery }

// Access is a rule of what peers may do.
type Access struct {
	From  string   `yaml:"from" want:"a URL, in which * stands for any characters" help:"whose requests the rule is about" unset:"everybody's"`
	Group string   `yaml:"group" want:"a name, in which * stands for any characters" help:"the groups that the rule is about" unset:"all"`
	Allow []string `yaml:"allow" want:"get, change, clear or membership" help:"what they may do" unset:"nothing"`
	Deny  []string `yaml:"deny" want:"get, change, clear or membership" help:"what they may not do" unset:"nothing"`
}

// Filter says which peers of a discovery are accepted.
type Filter struct {
	Networks []netip.Prefix `yaml:"networks" want:"networks, such as 10.0.0.0/8" help:"the networks of their addresses" unset:"any"`
	Ports    []uint16       `yaml:"ports" want:"ports" help:"their ports" unset:"any"`
}

// Handover is WithHandover.
type Handover struct {
	Bytes origin.Bytes  `yaml:"bytes" help:"the most bytes that are handed over after one change"`
	Time  time.Duration `yaml:"time" help:"the longest time of it"`
}

// Limits is peercache.Limits.
type Limits struct {
	Unproven         int           `yaml:"unproven" help:"connections on which nobody has proven to be a peer"`
	UnprovenTime     time.Duration `yaml:"unproven_time" help:"after how long such a connection is closed"`
	IdlePerPeer      int           `yaml:"idle_per_peer" help:"idle connections of one peer"`
	PlainRequests    int           `yaml:"plain_requests" help:"requests by the plain way that are in progress"`
	ChangesPerSecond int           `yaml:"changes_per_second" help:"changes that one peer may send a second"`
}

// StreamLimits is peercache.StreamLimits.
type StreamLimits struct {
	Streams          int           `yaml:"streams" help:"open streams"`
	StreamsPerPeer   int           `yaml:"streams_per_peer" help:"open streams of one name"`
	Loads            int           `yaml:"loads" help:"loads at one time for all streams"`
	LoadsPerStream   int           `yaml:"loads_per_stream" help:"loads at one time for one stream"`
	Changes          int           `yaml:"changes" help:"changes that wait for other peers, of all streams"`
	ChangesPerStream int           `yaml:"changes_per_stream" help:"changes that wait for other peers, of one stream"`
	RequestBytes     origin.Bytes  `yaml:"request_bytes" help:"what requests cost that are not answered from a cache"`
	AnswerBytes      origin.Bytes  `yaml:"answer_bytes" help:"loaded values that peers have not read"`
	FrameBytes       origin.Bytes  `yaml:"frame_bytes" help:"buffers for large requests that are not whole yet"`
	HelloTimeout     time.Duration `yaml:"hello_timeout" help:"how long a peer may take for its first frame"`
	FrameTimeout     time.Duration `yaml:"frame_timeout" help:"how long a frame may take to arrive"`
}
