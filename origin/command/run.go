package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
	"unicode"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/quote"
)

// Get implements peercache.Getter.
func (o *Origin) Get(ctx context.Context, key string) (peercache.Item, error) {
	args, err := o.arguments(key)
	if err != nil {
		return peercache.Item{}, err
	}
	select {
	case o.slots <- struct{}{}:
		defer func() { <-o.slots }()
	case <-ctx.Done():
		return peercache.Item{}, fmt.Errorf("command: %d programs are running (processes), and none has ended in time: %w", o.Processes, context.Cause(ctx))
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.Timeout, fmt.Errorf("it ran for longer than %v (timeout): %w", o.Timeout, context.DeadlineExceeded))
	defer cancel()

	value, complaint, err := o.run(ctx, args, key)
	switch exit, exited := errors.AsType[*exec.ExitError](err); {
	case err == nil:
		if complaint != "" {
			o.Log.Debug("a program succeeded, and wrote to its standard error", "program", o.Run[0], "key", quote.Key(key), "text", complaint)
		}
	case exited && o.NotFound != 0 && exit.ExitCode() == o.NotFound && ctx.Err() == nil:
		return peercache.Item{}, fmt.Errorf("command: %s: %w", quote.Key(key), peercache.ErrNotFound)
	case complaint != "":
		return peercache.Item{}, fmt.Errorf("command: %s for %s: %w: %s", o.Run[0], quote.Key(key), err, complaint)
	default:
		return peercache.Item{}, fmt.Errorf("command: %s for %s: %w", o.Run[0], quote.Key(key), err)
	}
	if o.TrimNewline {
		value = bytes.TrimSuffix(value, []byte("\n"))
	}
	return peercache.Item{Value: value, TTL: o.TTL}, nil
}

// leftBehind is how long the standard error and input are waited for after the exit of the program,
// if another process has them open.
const leftBehind = 500 * time.Millisecond

// run returns what the program wrote to its standard output, and the first line of what it wrote to its
// standard error.
func (o *Origin) run(ctx context.Context, args []string, key string) (value []byte, complaint string, err error) {
	ctx, kill := context.WithCancelCause(ctx)
	defer kill(nil)
	// The output is a pipe of our own, so that it can be read to its end before the program is waited
	// for. Until then its process group has its number, and no other one can get it.
	r, w, err := os.Pipe()
	if err != nil {
		return nil, "", err
	}
	defer r.Close()
	var problems head
	cmd := &exec.Cmd{Path: o.path, Args: args, Dir: o.Dir, Env: o.env, Stdout: w, Stderr: &problems, WaitDelay: leftBehind}
	if o.Stdin {
		cmd.Stdin = strings.NewReader(key)
	}
	ownGroup(cmd)
	err = cmd.Start()
	w.Close()
	if err != nil {
		return nil, "", err
	}
	stop := context.AfterFunc(ctx, func() {
		_ = killGroup(cmd.Process)
		_ = r.Close() // a process that has left the group may have it open
	})
	value, err = io.ReadAll(io.LimitReader(r, int64(o.MaxBytes)+1))
	if int64(len(value)) > int64(o.MaxBytes) {
		kill(fmt.Errorf("it wrote more than %v (max_bytes): %w", o.MaxBytes, peercache.ErrValueSize))
	} else if err != nil && ctx.Err() == nil {
		kill(err)
	}
	exit := o.wait(ctx, cmd, stop)
	switch {
	case ctx.Err() != nil:
		return nil, problems.line(), context.Cause(ctx)
	case errors.Is(exit, exec.ErrWaitDelay): // the program itself has succeeded
		exit = nil
	}
	return value, problems.line(), exit
}

// wait waits for the program, whose output has ended. stop ends what would kill it.
func (o *Origin) wait(ctx context.Context, cmd *exec.Cmd, stop func() bool) error {
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		stop()
		return err
	case <-ctx.Done():
		return <-done
	}
}

// head keeps the beginning of what is written to it.
type head struct{ b []byte }

// mostHead is how much a head keeps, and longestLine how much of it is shown.
const (
	mostHead    = 4 << 10
	longestLine = 300
)

func (h *head) Write(b []byte) (int, error) {
	h.b = append(h.b, b[:min(len(b), mostHead-len(h.b))]...)
	return len(b), nil
}

// line returns the first line that is not empty, without control characters.
func (h *head) line() string {
	for line := range strings.Lines(string(h.b)) {
		line = strings.TrimSpace(line)
		line = strings.Map(func(r rune) rune {
			if unicode.IsControl(r) {
				return -1
			}
			return r
		}, strings.ToValidUTF8(line[:min(len(line), longestLine)], "?"))
		if line != "" {
			return line
		}
	}
	return ""
}
