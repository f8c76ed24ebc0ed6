// Package conf reads a configuration strictly: a YAML file, over which flags and variables of the
// environment are laid. It finds all mistakes at once, and says of each where it is and what would
// be right. The structs that it fills are all there is to know of the keys: their tags make the
// help and the listing of a configuration as well.
//
// A field has the tags
//
//	yaml    the key, and ",short" if a scalar in place of the section means this field
//	help    what it does, one sentence without its dot
//	want    what the value looks like, if its type does not say that
//	unset   what happens if it is not set, in place of a default
//	reload  "yes" if a running program can change it
package conf

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Source says where a value comes from, as errors name it: "peercached.yaml:3:5", "--log.level" or
// "PEERCACHED_LOG_LEVEL".
type Source string

// Problem is one mistake.
type Problem struct {
	At   Source
	Path string // the key, such as groups.files.ttl; may be empty
	Text string // what is wrong, and what would be right
}

func (p Problem) String() string {
	s := p.Text
	if p.Path != "" {
		s = p.Path + ": " + s
	}
	if p.At != "" {
		s = string(p.At) + ": " + s
	}
	return s
}

// Problems are all mistakes that were found, as an error.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = one.String()
	}
	return strings.Join(lines, "\n")
}

// kind is what a node of the tree is.
type kind int

const (
	null kind = iota
	scalar
	list
	mapping
)

func (k kind) String() string { return [...]string{"nothing", "a value", "a list", "keys"}[k] }

// Tree is a parsed file, or a part of it.
type Tree struct {
	kind   kind
	text   string  // of a scalar
	fields []field // of a mapping, in the order of the file
	items  []*Tree // of a list
	at     Source
}

// field is a key and its value.
type field struct {
	name string
	at   Source // of the key
	tree *Tree
}

// mostNodes bounds a tree. Aliases count each time that they are used, so that a small file cannot
// stand for a huge one.
const mostNodes = 100_000

// Parse reads YAML. name is the file's, for errors.
func Parse(name string, content []byte) (t *Tree, err error) {
	defer func() {
		if r := recover(); r != nil { // of the parser, which is not ours
			t, err = nil, Problems{{At: Source(name), Text: fmt.Sprintf("the YAML cannot be read: %v", r)}}
		}
	}()
	var docs []yaml.Node
	if err := yaml.Load(content, &docs, yaml.WithAllDocuments()); err != nil {
		return nil, Problems{syntax(name, content, err)}
	}
	b := &builder{name: name}
	if len(docs) > 1 {
		return nil, Problems{{At: b.at(&docs[1]), Text: "a second document: want one"}}
	}
	root := &Tree{at: Source(name)}
	if len(docs) == 1 {
		root = b.build(&docs[0])
	}
	if len(b.problems) > 0 {
		return nil, b.problems
	}
	return root, nil
}

// syntax returns the problem of an error of the parser.
func syntax(name string, content []byte, err error) Problem {
	if e, ok := errors.AsType[*yaml.LoadError](err); ok && e.Mark.Line > 0 {
		at := Source(fmt.Sprintf("%s:%d:%d", name, e.Mark.Line, max(e.Mark.Column, 1)))
		return Problem{At: at, Text: e.Message + hint(content, e.Mark.Line)}
	}
	return Problem{At: Source(name), Text: strings.TrimPrefix(err.Error(), "yaml: ")}
}

// hint returns what is to be said of a line that is no YAML: the two mistakes that the parser's own words
// do not explain.
func hint(content []byte, line int) string {
	lines := strings.Split(string(content), "\n")
	if line > len(lines) {
		return ""
	}
	text := lines[line-1]
	switch indent := text[:len(text)-len(strings.TrimLeft(text, " \t"))]; {
	case strings.Contains(indent, "\t"):
		return ": a tab: want spaces before a key"
	case strings.Contains(text, "{key"):
		return `: want quotes around a value with {key} in it: "http://…/{key}"`
	}
	return ""
}

// builder makes a Tree of the parser's nodes.
type builder struct {
	name     string
	open     []*yaml.Node // the anchors whose aliases are being followed
	nodes    int
	problems Problems
}

func (b *builder) at(n *yaml.Node) Source {
	if n.Line == 0 {
		return Source(b.name)
	}
	return Source(fmt.Sprintf("%s:%d:%d", b.name, n.Line, n.Column))
}

// fail records a problem.
func (b *builder) fail(n *yaml.Node, text string) *Tree {
	b.problems = append(b.problems, Problem{At: b.at(n), Text: text})
	return &Tree{at: b.at(n)}
}

// tags are those that the parser gives to what has none of its own.
var tags = []string{"", "!", "!!str", "!!null", "!!bool", "!!int", "!!float", "!!timestamp", "!!seq", "!!map", "!!merge"}

func (b *builder) build(n *yaml.Node) *Tree {
	if b.nodes++; b.nodes > mostNodes {
		if b.nodes == mostNodes+1 {
			b.fail(n, fmt.Sprintf("more than %d values, with those that aliases stand for", mostNodes))
		}
		return &Tree{}
	}
	if n.Kind != yaml.DocumentNode && n.Kind != yaml.AliasNode && !slices.Contains(tags, n.ShortTag()) {
		return b.fail(n, "a tag, "+n.Tag+": want none")
	}
	switch n.Kind {
	case 0:
		return &Tree{at: Source(b.name)}
	case yaml.DocumentNode:
		return b.build(n.Content[0])
	case yaml.ScalarNode:
		if n.ShortTag() == "!!null" {
			return &Tree{at: b.at(n)}
		}
		return &Tree{kind: scalar, text: n.Value, at: b.at(n)}
	case yaml.SequenceNode:
		t := &Tree{kind: list, at: b.at(n)}
		for _, v := range n.Content {
			t.items = append(t.items, b.build(v))
		}
		return t
	case yaml.MappingNode:
		return b.mapping(n)
	case yaml.AliasNode:
		if slices.Contains(b.open, n.Alias) {
			return b.fail(n, "*"+n.Value+" stands for itself")
		}
		b.open = append(b.open, n.Alias)
		defer func() { b.open = b.open[:len(b.open)-1] }()
		return b.build(n.Alias)
	}
	return b.fail(n, "want keys, a list or a value")
}

// mapping builds keys and their values. What "<<" brings gives way to what the mapping has itself.
func (b *builder) mapping(n *yaml.Node) *Tree {
	t := &Tree{kind: mapping, at: b.at(n)}
	own := map[string]Source{}
	var merged []field
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, value := n.Content[i], b.build(n.Content[i+1])
		switch at := b.at(k); {
		case k.ShortTag() == "!!merge":
			merged = append(merged, b.merged(n.Content[i+1], value)...)
		case k.Kind != yaml.ScalarNode:
			b.fail(k, "want a word as the key")
		case own[k.Value] != "":
			b.fail(k, fmt.Sprintf("%s stands there twice, first at %s", k.Value, own[k.Value]))
		default:
			own[k.Value] = at
			t.fields = append(t.fields, field{k.Value, at, value})
		}
	}
	for _, f := range merged {
		if own[f.name] == "" {
			own[f.name] = f.at
			t.fields = append(t.fields, f)
		}
	}
	return t
}

// merged returns the keys that "<<" brings.
func (b *builder) merged(n *yaml.Node, value *Tree) (all []field) {
	parts := []*Tree{value}
	if value.kind == list {
		parts = value.items
	}
	for _, part := range parts {
		if part.kind != mapping {
			b.fail(n, "<< takes keys, such as those of an alias")
		}
		all = append(all, part.fields...)
	}
	return all
}

// lookup returns the value of a key, or nil.
func (t *Tree) lookup(name string) *Tree {
	if t == nil {
		return nil
	}
	for _, f := range t.fields {
		if f.name == name {
			return f.tree
		}
	}
	return nil
}
