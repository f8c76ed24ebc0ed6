package snapshot

// Trust says whose files are believed. Whoever can write a snapshot decides what the next
// process answers.
//
// The zero value believes the user of this process and root: a file or a directory that
// belongs to somebody else, or that others can write, is refused. What a group can write is
// believed only if the group has the number of the user, as the private groups of most
// systems have. A directory with the sticky bit, such as /tmp, may be writable by all,
// because there nobody can replace the files of others.
//
// Only the file and the directory that it stands in are looked at, not the directories
// above. On Windows nothing is: there the access control list of the directory decides, and
// it is the user's to set.
type Trust struct {
	// Group believes besides whatever the group of a file or a directory can write.
	Group bool
}
