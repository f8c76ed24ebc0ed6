package node

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
)

// child is a process that this one has started, by its own binary. It runs as
// long as its standard input is open, so it does not outlive this process,
// whatever happens to that.
type child struct {
	cmd       *exec.Cmd
	stdin     io.WriteCloser
	peer, api string // what it printed about itself; api "" if it has none
}

// runCluster starts a process for each port, the first of them with the API,
// says what to try, and waits for ctx to end.
func runCluster(ctx context.Context, c config, stdout io.Writer, log *slog.Logger) error {
	ctx, stop := context.WithCancel(ctx)
	var children []*child
	var peers []string
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	for i, port := range c.ports {
		api := c.api
		if i > 0 {
			api = ""
		}
		child, err := startChild(ctx, c, port, api)
		if ctx.Err() != nil {
			return nil // told to stop before all had started
		}
		if err != nil {
			return fmt.Errorf("the process for port %d did not start: %w (-nodes and -api choose other ports)", port, err)
		}
		running.Go(func() {
			if err := child.cmd.Wait(); ctx.Err() == nil {
				log.Warn("a process is gone, the others go on", "node", child.peer, "err", err)
			}
		})
		children = append(children, child)
		peers = append(peers, child.peer)
	}
	for _, child := range children {
		fmt.Fprintln(child.stdin, strings.Join(peers, ","))
	}
	fmt.Fprintf(stdout, whatToTry, len(peers), strings.Join(peers, " "), children[0].api, exampleKey(c))

	running.Wait()
	if ctx.Err() == nil {
		return errors.New("all processes are gone")
	}
	return nil
}

const whatToTry = `
%[1]d processes are one cache: %[2]s
The first one serves the API. Try in another terminal:

  curl '%[3]s?key=%[4]s'
  curl '%[3]s?key=nobody'    the origin has no such key: 404
  curl '%[3]s/stats'         what the first process has counted

The log says what each process does for that:

  "asked peer"   another process owns the key, and answered
  load           this one owns the key, and reads it from the origin
  hit            the value is cached here: ask again to see it; a key of a peer is copied when it is fetched often

Ctrl-C stops them all.

`

// exampleKey returns a key to try.
func exampleKey(c config) string {
	if c.dir != "" {
		return "path/of/a/file"
	}
	return "Tom"
}

// startChild starts a process for a port and waits until it has said where it
// listens. When ctx ends, its standard input is closed, so that it stops.
func startChild(ctx context.Context, c config, port int, api string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self,
		"-port", strconv.Itoa(port),
		"-peers", "-", // that is, from us
		"-api", api,
		"-dir", c.dir,
		"-origin-delay", c.originDelay.String(),
		"-detection-time", c.detection.String(),
		"-cache-bytes", strconv.FormatInt(c.cacheBytes, 10),
		"-log-level", c.logLevel.String(),
		"-tls-cert", c.tls.cert, "-tls-key", c.tls.key, "-tls-ca", c.tls.ca, "-tls-every", c.tls.every.String(),
	)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Cancel = stdin.Close
	cmd.WaitDelay = shutdownTimeout + shutdownTimeout/2 // then it is killed
	if err := cmd.Start(); err != nil {
		return nil, err
	}

	ch := &child{cmd: cmd, stdin: stdin}
	lines := bufio.NewScanner(stdout)
	for (ch.peer == "" || api != "" && ch.api == "") && lines.Scan() {
		switch name, url, _ := strings.Cut(lines.Text(), " "); name {
		case peerLine:
			ch.peer = url
		case apiLine:
			ch.api = url
		}
	}
	if ch.peer == "" || api != "" && ch.api == "" {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			return nil, err // it has said why on standard error
		}
		return nil, errors.New("it ended at once")
	}
	return ch, nil
}
