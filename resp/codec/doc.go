// Package codec reads and writes RESP, the protocol of Redis, in its versions 2 and 3. Requests
// cuts what a client sends into commands, the Append functions make replies, and Replies reads
// them. What comes from the network is bounded before memory is taken for it.
package codec
