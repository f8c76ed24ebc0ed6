package snapshot

// Trust says whose files are trusted. Whoever can write a snapshot decides what the next process
// answers.
//
// The zero value trusts the user of this process and root: a file or a directory that belongs to
// another user, or that others can write, is refused. A file that its group can write is trusted
// only if the group has the number of the user, as the private groups of most systems have. A
// directory with the sticky bit, such as /tmp, may be writable by all, because nobody can replace
// the files of others there.
//
// Only the file and its directory are checked, not the directories above. On Windows nothing is
// checked: there, the access control list of the directory decides, which the user sets.
type Trust struct {
	// Group also trusts files and directories that their group can write.
	Group bool
}
