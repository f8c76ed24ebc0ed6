package peer

// MaxOverhead is how many bytes a response may have beyond its value: the text of an error, and
// fields of later versions.
const MaxOverhead = 64 << 10

// MaxChangeBytes bounds, in bytes, the keys of a Change that has more than one. The pool sends more
// keys in several Changes.
const MaxChangeBytes = 1 << 20

// MaxKeyBytes and MaxValueBytes are the largest keys and values, in bytes, that the options of the
// same names allow. A request or an answer is one message in memory, and a protobuf message is
// smaller than 2 GiB.
const (
	MaxKeyBytes   = 1 << 20
	MaxValueBytes = 1 << 30
)

// MaxGroupName bounds the name of a group, in bytes. Each request has the name.
const MaxGroupName = 255

// MaxErrorText bounds the text of an error on the wire, in bytes. It is less than MaxOverhead: an
// error that is too large to read would be no answer (P6).
const MaxErrorText = 16 << 10

// MinPeerName and MaxPeerName bound the name of a peer, in bytes. A shorter name would take many
// times the memory of its bytes on the wire.
const (
	MinPeerName = 8
	MaxPeerName = 512
)

// MaxReason bounds Holder.Reason on the wire, in bytes.
const MaxReason = 512
