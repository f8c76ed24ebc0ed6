package peercache

// mostOverhead is what a response may have beyond its value: error text, fields
// of later versions.
const mostOverhead = 64 << 10

// changeBytes is how large a request is made, at most, where more than one key is in it.
const changeBytes = 1 << 20

// The most that the options of the same name allow. A request or an answer is one
// message in memory, and a protobuf message is below 2 GiB.
const (
	mostKeyBytes   = 1 << 20
	mostValueBytes = 1 << 30
)

// longestGroupName is in bytes. The name goes into every request to a peer.
const longestGroupName = 255

// mostErrorText bounds the text of an error on the wire, in bytes. It must leave
// room within mostOverhead: an error that does not fit would be no answer (P6).
const mostErrorText = 16 << 10

// mostReason bounds why a holder could not be told, in bytes.
const mostReason = 512
