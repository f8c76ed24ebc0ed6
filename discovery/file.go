package discovery

import (
	"context"
	"errors"
	"fmt"
)

// mostFileBytes is far above a list of all the peers that a ring can have.
const mostFileBytes = 16 << 20

// File is a list of peers in a file, which somebody else writes: one base URL a
// line, in UTF-8. Blank lines are allowed, comments from a # to the end of the line, and
// white space and marks without a width around a URL, such as a byte order mark. Behind
// a URL, #owns=nothing is no comment: see OwningNothing.
//
// The file is read every DefaultFilePoll, and its content alone says whether the
// list has changed. If it is missing, cannot be read or names nobody, the last
// list stands. Replace it by renaming a new file over it: of one that is written
// in place, the first half may be read.
//
// Run fails if the file cannot be read when it begins, because that is a wrong
// path more often than a file that is late; until a file that is there names
// somebody, Run waits. The errors of File are those of its options, and an empty
// path.
func File(path string, opts ...Option) (Discovery, error) {
	if path == "" {
		return nil, errors.New("discovery: File: an empty path: want that of a file with a base URL a line")
	}
	s, err := settle(DefaultFilePoll, opts)
	if err != nil {
		return nil, err
	}
	if s.keeps {
		return nil, errors.New("discovery: WithKeepMissing is for DNS and SRV: the list of File is exact")
	}
	if s.resolver != nil {
		return nil, errors.New("discovery: WithResolver is for DNS and SRV: File looks up no names")
	}
	s.log = s.log.With("file", path)
	return &file{settings: s, path: path}, nil
}

type file struct {
	settings
	path string
}

func (f *file) Run(ctx context.Context, _ string, report func(View)) error {
	if _, err := readList(f.path); err != nil {
		return fmt.Errorf("discovery: the list of peers: %w", err)
	}
	return f.follow(ctx, func(context.Context) ([]string, error) { return readList(f.path) }, report)
}
