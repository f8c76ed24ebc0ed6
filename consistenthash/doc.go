// Package consistenthash names the owner of a key among weighted members, and the members
// that follow it, so that all who know the same members agree without asking each other.
//
// # The ring
//
// A member of weight w has 320·w points on a ring of 2^32 positions. Point i of a member
// (i from 0) stands at the high 32 bits of
//
//	xxhash64(name ++ i as 4 bytes, little endian)
//
// A key is hashed once, h = xxhash64(key): the high 32 bits of h are its position, the low
// 32 bits its coin. It walks from its position upwards, its position included, and round
// past the end. Each point at position p that it meets accepts it if
//
//	p·coin mod 2^32 < 2^32 / 16
//
// The first point that accepts owns the key. If a whole turn has none (one key in 10^9 on a
// ring of 320 points), a second turn accepts everywhere: the first point owns the key.
// Where points of two members share a position, they stand in the byte order of the names.
// The successors of a key are the members in the order in which the walk first meets
// accepting points of theirs, over the first turn and then the second.
//
// # Why
//
// The owner of a key is the smallest of its members' points in the order (turn, distance
// from the key), and that order knows nothing of which members exist. So a member that
// leaves hands each of its keys to that key's next successor and moves no other, and one
// that comes takes keys for itself only. That is consistent hashing (Karger et al., 1997)
// as in golang/groupcache, where every point accepts.
//
// There, what a point owns is the one gap before it, and gaps differ much: with V points a
// member, shares spread by 1/√V around the mean. Here a key passes a point by with
// probability 15/16, so a point owns a part of each of many gaps, as though there were many
// rings, each with other points. With C in place of 16, shares spread by 1/√(V·(2C-1)), or 1 %,
// at the price of a walk of C neighbours in memory. Multi-probe consistent hashing
// (Appleton & O'Reilly, 2015) buys evenness in the same way, with probes all over the ring.
//
// The coin toss is multiply-shift hashing (Dietzfelbinger et al., 1997): uniform for each
// point, as the coin is, and near enough independent from point to point that shares
// follow the formula above.
package consistenthash
