// Package aof is the append-only log of the memory driver, and its snapshots.
//
// A directory has segments (000001.log, …), at most one snapshot that counts (000004.snap is the state before the first record
// of 000004.log), and a manifest, which says with what recovery begins. The manifest is replaced by a rename, and nothing that
// it needs is removed before that is durable: so a crash at any moment leaves the old or the new set whole.
//
// Files are of frames (format.go). What is appended is collected in memory (log.go), and one goroutine writes it (flush.go), with
// one sync for all who wait. Each write begins with a mark: it says how much of the segment was durable before. Recovery
// (recover.go) tells by marks what a crash explains from what it does not: a damaged frame is the torn end of the log if no mark
// says that the frame was durable. Then it is cut off. Otherwise the log is broken, and nothing is loaded.
//
// # Invariants
//
//   - A segment is durable to its end before anything is written to the next one. So only the last segment that has records can
//     be torn.
//   - The header of a segment, and its name, are durable before anything is appended to it.
//   - What recovery has read is durable before anybody sees it, whatever became of earlier syncs.
package aof
