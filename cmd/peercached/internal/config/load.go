package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/peercache/peercache/cmd/peercached/internal/conf"
)

// mostFileBytes bounds a configuration.
const mostFileBytes = 4 << 20

// Loaded is a configuration that was read, and what is wrong with it so far.
type Loaded struct {
	Config
	*conf.Decoder
	Path     string   // of the file; empty if there is none
	Content  []byte   // of the file
	Warnings []string // for the log
}

// Options says what else Load has to know.
type Options struct {
	Overrides conf.Overrides
	Gateway   bool // own nothing, whatever the file says
	// Kinds are the kinds of origins that there are.
	Kinds []string
}

// Load reads the file at path, "" for none, and what is laid over it, and checks all but the origins,
// which the caller opens. Then the caller asks Finish for the problems. An error here is one of the
// file as a whole.
func Load(path string, o Options) (*Loaded, error) {
	l := &Loaded{Decoder: conf.NewDecoder(o.Overrides), Path: path}
	var tree *conf.Tree
	if path != "" {
		content, err := readFile(path)
		if err != nil {
			return nil, err
		}
		l.Content = content
		if tree, err = conf.Parse(path, content); err != nil {
			return nil, err
		}
	}
	l.Decode(tree, "", &l.Config)
	if o.Gateway {
		l.Peers.OwnNothing = true
	}
	l.check(o.Kinds)
	return l, nil
}

// readFile returns the content of a configuration.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, conf.Problems{{At: conf.Source(path), Text: "there is no such file: want the path of a configuration (-c)"}}
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, mostFileBytes+1))
	if err == nil && len(b) > mostFileBytes {
		err = conf.Problems{{At: conf.Source(path), Text: fmt.Sprintf("more than %d bytes", mostFileBytes)}}
	}
	return b, err
}

// Finish returns all problems as an error, nil if there are none.
func (l *Loaded) Finish() error {
	l.Warnings = append(l.Warnings, l.Unused()...)
	if len(l.Problems) == 0 {
		return nil
	}
	return l.Sorted()
}

// WithoutGo returns the text of an error of the library without the names of its options.
func WithoutGo(err error) string {
	text := strings.TrimPrefix(strings.TrimPrefix(err.Error(), "peercache: "), `group "probe": `)
	if rest, ok := strings.CutPrefix(text, "With"); ok {
		if i := strings.Index(rest, ": "); i >= 0 {
			value := ""
			if from := strings.IndexByte(rest[:i], '('); from >= 0 {
				value = strings.TrimSuffix(rest[from+1:i], ")") + ": "
			}
			return value + rest[i+2:]
		}
	}
	return text
}
