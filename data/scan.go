package data

import (
	"context"
	"errors"
	"iter"
)

// ScanOptions say what an iterator goes through.
type ScanOptions struct {
	Match string // a pattern, such as user:*; "" fits all
	Count int64  // how many are looked at in one step, about; 0: the driver's default
	Type  string // the type of keys, for Keys.Scan alone; "" is all
}

func (o ScanOptions) args(args []string) []string {
	if o.Match != "" {
		args = append(args, "match", o.Match)
	}
	if o.Count != 0 {
		args = append(args, "count", itoa(o.Count))
	}
	if o.Type != "" {
		args = append(args, "type", o.Type)
	}
	return args
}

var errScan = errors.New("data: the reply is not that of a SCAN")

// scan goes through what a command returns in steps, the cursor of which is its argument at a place, step elements at a time. What
// yields an error ends it.
func (c Commands) scan(ctx context.Context, args []string, at, step int, yield func(of []string, err error) bool) {
	for args[at] = "0"; ; {
		list, err := c.list(ctx, args...)
		if err != nil {
			yield(nil, err)
			return
		}
		if len(list) != 2 {
			yield(nil, errScan)
			return
		}
		cursor, err := list[0].Text()
		if err != nil {
			yield(nil, err)
			return
		}
		texts, err := flatTexts(list[1].List)
		if err != nil || len(texts)%step != 0 {
			yield(nil, errors.Join(errScan, err))
			return
		}
		for i := 0; i < len(texts); i += step {
			if !yield(texts[i:i+step], nil) {
				return
			}
		}
		if cursor == "0" {
			return
		}
		args = append([]string(nil), args...) // the driver may have kept them
		args[at] = cursor
	}
}

// flatTexts returns the strings of a list, and of the lists in it.
func flatTexts(list []Reply) (texts []string, err error) {
	for _, r := range list {
		if r.List != nil {
			inner, err := flatTexts(r.List)
			if err != nil {
				return nil, err
			}
			texts = append(texts, inner...)
			continue
		}
		s, err := r.Text()
		if err != nil {
			return nil, err
		}
		texts = append(texts, s)
	}
	return texts, nil
}

// Scan goes through all keys. What is there from the beginning to the end is yielded; what comes or goes meanwhile may be; a
// key may come twice. An error is the last that is yielded.
func (k Keys) Scan(ctx context.Context, o ScanOptions) iter.Seq2[string, error] {
	return k.c.scanOne(ctx, o.args([]string{"scan", "0"}), 1)
}

// scanOne is scan of a command whose elements are single ones.
func (c Commands) scanOne(ctx context.Context, args []string, at int) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		args := append([]string(nil), args...)
		c.scan(ctx, args, at, 1, func(of []string, err error) bool {
			if err != nil {
				return yield("", err)
			}
			return yield(of[0], nil)
		})
	}
}
