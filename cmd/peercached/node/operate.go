package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/peercache/peercache/cmd/peercached/internal/conf"
)

// groupFigures are those of a group in one node, as package admin tells them.
type groupFigures struct {
	Group   string
	Figures struct {
		Gets, Hits, Loads, LoadErrors, PeerLoads, PeerErrors, ServerRequests int64
		Main, Hot                                                            struct{ Items, Bytes, Evictions int64 }
	}
	Lately *struct {
		GetsPerSecond, HitRatio, LoadsPerSecond, LoadErrorsPerSecond, LoadP50Seconds, LoadP99Seconds float64
	}
}

type statsCommand struct {
	clientFlags
	Group string `arg:"" optional:"" help:"The group. Without it, all of them."`
	JSON  bool   `name:"json" help:"Print all figures, as JSON."`
}

func (s *statsCommand) Run(p *program) error {
	c, err := s.client(p)
	if err != nil {
		return err
	}
	var raw struct{ Groups []json.RawMessage }
	if err := c.json(p.ctx, "/api/v1/groups", &raw); err != nil {
		return err
	}
	var all []groupFigures
	for _, one := range raw.Groups {
		var g groupFigures
		if err := json.Unmarshal(one, &g); err != nil {
			return err
		}
		if s.Group != "" && g.Group != s.Group {
			continue
		}
		if s.JSON {
			fmt.Fprintf(p.stdout, "%s\n", one)
		}
		all = append(all, g)
	}
	if len(all) == 0 {
		if s.Group == "" {
			return exitError{ExitNotFound, errors.New("this node has no groups; figures of its data are in /metrics")}
		}
		return exitError{ExitNotFound, fmt.Errorf("no group %q in this node", s.Group)}
	}
	if s.JSON {
		return nil
	}
	return writeGroups(p.stdout, all)
}

// writeGroups prints a table of groups.
func writeGroups(to io.Writer, all []groupFigures) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "GROUP\tGETS\tHITS\tLOADS\tERRORS\tFROM PEERS\tFOR PEERS\tITEMS\tBYTES\tCOPIES\tGETS/S\tHIT%\t")
	for _, g := range all {
		f := g.Figures
		rate, ratio := "-", "-"
		if l := g.Lately; l != nil {
			rate = fmt.Sprintf("%.0f", l.GetsPerSecond)
			if l.HitRatio >= 0 {
				ratio = fmt.Sprintf("%.1f", 100*l.HitRatio)
			}
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t%s\t\n", g.Group, f.Gets, f.Hits, f.Loads, f.LoadErrors,
			f.PeerLoads, f.ServerRequests, f.Main.Items, f.Main.Bytes+f.Hot.Bytes, f.Hot.Items, rate, ratio)
	}
	return w.Flush()
}

// peerFigures are those of a peer, as package admin tells them.
type peerFigures struct {
	Peer, State, Problem string
	Self                 bool
	Share                float64
	Figures              struct {
		Requests int64
		Latency  struct{ P50Seconds, P99Seconds float64 }
	}
}

type ringCommand struct{ clientFlags }

func (r *ringCommand) Run(p *program) error {
	c, err := r.client(p)
	if err != nil {
		return err
	}
	var ring struct {
		View       string
		AgeSeconds float64
	}
	if err := c.json(p.ctx, "/api/v1/ring", &ring); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "view %s, %s old\n", ring.View, age(ring.AgeSeconds))
	return c.writePeers(p.ctx, p.stdout)
}

// writePeers prints a table of the peers.
func (c *client) writePeers(ctx context.Context, to io.Writer) error {
	var all struct{ Peers []peerFigures }
	if err := c.json(ctx, "/api/v1/peers", &all); err != nil {
		return err
	}
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "PEER\tSTATE\tSHARE\tASKED\tP50\tP99\t")
	for _, one := range all.Peers {
		state := one.State
		if one.Self {
			state = "this node"
		}
		share := fmt.Sprintf("%.1f%%", 100*one.Share)
		if one.Share == 0 {
			share = "owns nothing"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\t%s\n", one.Peer, state, share, one.Figures.Requests,
			milliseconds(one.Figures.Latency.P50Seconds), milliseconds(one.Figures.Latency.P99Seconds), one.Problem)
	}
	return w.Flush()
}

// age returns how old something is, in whole units that people take in.
func age(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	if d < 10*time.Second {
		return d.Round(100 * time.Millisecond).String()
	}
	return conf.FormatDuration(d.Round(time.Second))
}

func milliseconds(seconds float64) string {
	if seconds <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.2fms", 1000*seconds)
}

type topCommand struct {
	clientFlags
	Every time.Duration `name:"every" default:"1s" help:"The time between two looks."`
	Times int           `short:"n" name:"times" help:"How many looks. Without it, until it is interrupted."`
}

func (t *topCommand) Run(p *program) error {
	c, err := t.client(p)
	if err != nil {
		return err
	}
	if t.Every <= 0 {
		return usageError("--every: want more than 0")
	}
	for i := 0; t.Times == 0 || i < t.Times; i++ {
		if i > 0 {
			select {
			case <-time.After(t.Every):
			case <-p.ctx.Done():
				return nil
			}
		}
		var all struct{ Groups []groupFigures }
		if err := c.json(p.ctx, "/api/v1/groups", &all); err != nil {
			return err
		}
		slices.SortStableFunc(all.Groups, func(a, b groupFigures) int {
			if a.Lately == nil || b.Lately == nil {
				return 0
			}
			return int(b.Lately.GetsPerSecond) - int(a.Lately.GetsPerSecond)
		})
		var screen strings.Builder
		if t.Times != 1 {
			screen.WriteString("\x1b[H\x1b[2J") // to the upper left, of an empty screen
		}
		fmt.Fprintf(&screen, "%s  %s\n\n", c.flags.Admin, time.Now().Format(time.TimeOnly))
		if err := writeGroups(&screen, all.Groups); err != nil {
			return err
		}
		screen.WriteString("\n")
		if err := c.writePeers(p.ctx, &screen); err != nil {
			return err
		}
		if _, err := io.WriteString(p.stdout, screen.String()); err != nil {
			return err
		}
	}
	return nil
}

type whereCommand struct {
	clientFlags
	keyArgs
}

func (k *whereCommand) Run(p *program) error {
	c, err := k.client(p)
	if err != nil {
		return err
	}
	var raw json.RawMessage
	if err := c.json(p.ctx, "/api/v1/key?"+url.Values{"group": {k.Group}, "key": {k.Key}}.Encode(), &raw); err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "%s\n", raw)
	return err
}

type readyCommand struct {
	clientFlags
	Wait time.Duration `name:"wait" help:"How long to wait until the node is ready. Without it, it is asked once."`
}

// readyEvery is the time between two questions.
const readyEvery = 200 * time.Millisecond

func (r *readyCommand) Run(p *program) error {
	c, err := r.client(p)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(p.ctx, max(r.Wait, time.Nanosecond))
	defer cancel()
	for {
		why := c.ready(p.ctx)
		if why == nil {
			fmt.Fprintln(p.stdout, "ready")
			return nil
		}
		select {
		case <-time.After(readyEvery):
		case <-ctx.Done():
			return why
		}
		if ctx.Err() != nil {
			return why
		}
	}
}

// ready returns why the node is not ready.
func (c *client) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.flags.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.flags.Admin+"/readyz?verbose", nil)
	if err != nil {
		return usageError(err.Error())
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(strings.TrimSpace(string(text)))
	}
	return err
}
