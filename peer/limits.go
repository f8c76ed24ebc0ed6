package peer

// MaxOverhead is what a response may have beyond its value: error text, fields
// of later versions.
const MaxOverhead = 64 << 10

// MaxChangeBytes is how large a request is made, at most, where more than one key is in it.
const MaxChangeBytes = 1 << 20

// The most that the options of the same name allow. A request or an answer is one
// message in memory, and a protobuf message is below 2 GiB.
const (
	MaxKeyBytes   = 1 << 20
	MaxValueBytes = 1 << 30
)

// MaxGroupName is in bytes. The name goes into every request to a peer.
const MaxGroupName = 255

// MaxErrorText bounds the text of an error on the wire, in bytes. It must leave
// room within mostOverhead: an error that does not fit would be no answer (P6).
const MaxErrorText = 16 << 10

// MaxReason bounds why a holder could not be told, in bytes.
const MaxReason = 512
