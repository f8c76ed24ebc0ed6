package data

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/peercache/peercache"
)

// SecondLevel makes a second level of a driver, for peercache.WithSecondLevel. Keys of the driver that begin with prefix
// are for it alone: prefix must not be empty, and is different for each group. All processes of the group use the same.
//
// A value is a string that begins with a permit, which is different each time. Where there is no value there is a permit alone: each miss writes
// one, of 27 bytes, that lives for a minute. A load that takes longer than that is not kept.
//
// A Redis has to be of version 7.0 or later (SET with NX and GET). Give it the last level itself, not a tiered driver: it writes with each Get, which
// drops the copies there.
func SecondLevel(driver Driver, prefix string) (peercache.SecondLevel, error) {
	if prefix == "" {
		return nil, errors.New("data: SecondLevel: the prefix is empty: want one for each group, such as \"users:\"")
	}
	return &secondLevel{client: New(driver), prefix: prefix}, nil
}

type secondLevel struct {
	client *Client
	prefix string
}

// What a string of the level begins with. The permit follows, of permitBytes, and then the value.
const (
	levelPermit = "?"
	levelValue  = "="

	permitBytes = 26 // of rand.Text
	permitTime  = time.Minute
)

// Get implements peercache.SecondLevel.
func (l *secondLevel) Get(ctx context.Context, keys []string) ([]peercache.Leveled, error) {
	cmds := make([]Cmd, 0, 3*len(keys))
	permits := make([]string, len(keys))
	for i, key := range keys {
		permits[i] = rand.Text()
		pttl := Command("pttl", l.prefix+key)
		cmds = append(cmds, pttl, Command("set", l.prefix+key, levelPermit+permits[i], "nx", "get", "px", millis(permitTime)), pttl)
	}
	replies, err := l.client.driver.Do(ctx, cmds...)
	if err == nil && len(replies) != len(cmds) {
		err = errReplies
	}
	if err != nil {
		return nil, err
	}
	all := make([]peercache.Leveled, len(keys))
	for i, key := range keys {
		text, err := replies[3*i+1].Text()
		if errors.Is(err, ErrNil) {
			all[i].Permit = permits[i]
			continue
		}
		if err == nil && len(text) < 1+permitBytes {
			err = errors.New("this is no value of a second level")
		}
		if err != nil {
			return nil, fmt.Errorf("%q: %w", l.prefix+key, err)
		}
		all[i].Permit = text[1 : 1+permitBytes]
		if !strings.HasPrefix(text, levelValue) {
			continue
		}
		ttl, err := leftOf(replies[3*i], replies[3*i+2], 0) // the group subtracts what this took
		if err != nil {
			return nil, fmt.Errorf("%q: %w", l.prefix+key, err)
		}
		if ttl < 0 { // it came meanwhile, by another load, or has gone: nobody knows for how long it is good
			continue
		}
		all[i].Found, all[i].Item = true, peercache.Item{Value: []byte(text[1+permitBytes:]), TTL: ttl}
	}
	return all, nil
}

// Set implements peercache.SecondLevel.
func (l *secondLevel) Set(ctx context.Context, key string, item peercache.Item, permit string) error {
	start := time.Now()
	key = l.prefix + key
	err := l.client.driver.Tx(ctx, func(tx Transaction) error {
		commands := newTx(tx).Strings()
		text, err := commands.Get(ctx, key)
		if errors.Is(err, ErrNil) || err == nil && (len(text) < 1+permitBytes || text[1:1+permitBytes] != permit) {
			return nil
		}
		if err != nil {
			return err
		}
		var o SetOptions
		if item.TTL > 0 {
			if o.TTL = (item.TTL - time.Since(start)).Truncate(time.Millisecond); o.TTL <= 0 {
				return nil
			}
		}
		_, err = commands.SetWith(ctx, key, levelValue+rand.Text()+string(item.Value), o)
		return err
	})
	if errors.Is(err, ErrConflict) { // the permit is not good any more
		return nil
	}
	return err
}

// Remove implements peercache.SecondLevel.
func (l *secondLevel) Remove(ctx context.Context, keys ...string) error {
	cmds := make([]Cmd, len(keys))
	for i, key := range keys {
		cmds[i] = Command("unlink", l.prefix+key)
	}
	return l.removed(ctx, cmds)
}

func (l *secondLevel) removed(ctx context.Context, cmds []Cmd) error {
	replies, err := l.client.driver.Do(ctx, cmds...)
	if err != nil {
		return err
	}
	var failed []error
	for _, r := range replies {
		failed = append(failed, r.Err())
	}
	return errors.Join(failed...)
}

// Clear implements peercache.SecondLevel. A key that is there when it begins, with a value or a permit, is found by the scan, whatever happens to it meanwhile.
func (l *secondLevel) Clear(ctx context.Context) error {
	const most = 1000 // in one pipeline
	var cmds []Cmd
	for key, err := range l.client.Keys().Scan(ctx, ScanOptions{Match: escape(l.prefix) + "*", Count: most}) {
		if err != nil {
			return err
		}
		if cmds = append(cmds, Command("unlink", key)); len(cmds) == most {
			if err := l.removed(ctx, cmds); err != nil {
				return err
			}
			cmds = cmds[:0]
		}
	}
	if len(cmds) == 0 {
		return nil
	}
	return l.removed(ctx, cmds)
}

// escape returns a pattern that only a text fits.
func escape(text string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(text)
}
