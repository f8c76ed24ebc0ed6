package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"

	"github.com/peercache/peercache/data"
	"github.com/peercache/peercache/data/logfile"
)

// logCommands are those about the directory of a log of data.
type logCommands struct {
	Check   logCheckCommand   `cmd:"" help:"Say whether a log is whole, and if not, where it is damaged; exit status 1 if a node would not start with it."`
	Repair  logRepairCommand  `cmd:"" help:"Cut a damaged log off where the damage begins, so that a node starts with what was before."`
	Dump    logDumpCommand    `cmd:"" help:"Print what is in a log, as lines of text."`
	Restore logRestoreCommand `cmd:"" help:"Make a log of a backup."`
}

// logDir is the directory of a log.
type logDir struct {
	Dir string `arg:"" help:"The directory (data.log.dir). No node may use it."`
}

// errBroken says that a node does not start with a log.
var errBroken = errors.New("a node does not start with this log; peercached log repair keeps what was before the damage")

type logCheckCommand struct{ logDir }

func (c *logCheckCommand) Run(p *program) error {
	r, err := logfile.Check(c.Dir)
	if err != nil {
		return err
	}
	fmt.Fprint(p.stdout, r)
	if r.State == logfile.Broken {
		return errBroken
	}
	return nil
}

type logRepairCommand struct {
	logDir
	Yes bool `name:"yes" help:"Do it. Without it, only what is wrong is said."`
}

func (c *logRepairCommand) Run(p *program) error {
	before, err := logfile.Check(c.Dir)
	if err != nil {
		return err
	}
	fmt.Fprint(p.stdout, before)
	if before.State != logfile.Broken {
		fmt.Fprintln(p.stdout, "there is nothing to repair: a node starts with it")
		return nil
	}
	if !c.Yes {
		return errors.New("nothing was changed: --yes sets aside what comes after the damage, in files with .damaged in their names, and a node starts without it")
	}
	done, after, err := logfile.Repair(c.Dir)
	for _, one := range done {
		fmt.Fprintln(p.stdout, one)
	}
	if errors.Is(err, logfile.ErrLost) {
		return errors.New("nothing of this log can be kept: move the directory away, and make a new one of a backup (peercached log restore DIR FILE)")
	}
	if err != nil {
		return err
	}
	fmt.Fprint(p.stdout, after)
	return nil
}

type logDumpCommand struct{ logDir }

func (c *logDumpCommand) Run(p *program) error { return logfile.Dump(c.Dir, p.stdout) }

type logRestoreCommand struct {
	Dir  string `arg:"" help:"The directory, which is made, or is empty."`
	File string `arg:"" help:"The file that peercached backup has written; - is the standard input."`
}

func (c *logRestoreCommand) Run(p *program) error {
	if names, err := os.ReadDir(c.Dir); err == nil && len(names) > 0 {
		return fmt.Errorf("%s is not empty: want a directory without a log, so that none is lost", c.Dir)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	from, err := p.open(c.File)
	if err != nil {
		return err
	}
	defer from.Close()
	m, err := data.Restore(p.ctx, from, data.WithLog(c.Dir, data.LogSync(data.SyncNever)))
	if err != nil {
		return err
	}
	keys := m.Stats().Keys
	if err := m.Close(); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "%s is a log with %d keys\n", c.Dir, keys)
	return nil
}

// open opens a file, or the standard input for -.
func (p *program) open(path string) (io.ReadCloser, error) {
	if path == "-" {
		return io.NopCloser(p.stdin), nil
	}
	return os.Open(path)
}

type backupCommand struct {
	clientFlags
	File string `arg:"" help:"The file, which is replaced when all is there; - is the standard output."`
}

func (b *backupCommand) Run(p *program) error {
	c, err := b.client(p)
	if err != nil {
		return err
	}
	if b.File == "-" {
		_, err := c.backup(p.ctx, p.stdout)
		return err
	}
	to, err := os.CreateTemp(filepath.Dir(b.File), filepath.Base(b.File)+".*")
	if err != nil {
		return err
	}
	n, err := c.backup(p.ctx, to)
	if err == nil {
		err = to.Sync()
	}
	if err = errors.Join(err, to.Close()); err == nil {
		err = os.Rename(to.Name(), b.File)
	}
	if err != nil {
		return errors.Join(err, os.Remove(to.Name()))
	}
	fmt.Fprintf(p.stdout, "%s: %d bytes\n", b.File, n)
	return nil
}

// backup copies a backup of the node's data.
func (c *client) backup(ctx context.Context, to io.Writer) (int64, error) {
	resp, err := c.do(ctx, http.MethodPost, c.flags.Admin+dataPath+"backup", nil, nil)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	n, err := io.Copy(to, resp.Body)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("the node has broken off after %d bytes: its log says why", n)
	}
	return n, err
}

type restoreCommand struct {
	clientFlags
	File string `arg:"" help:"The file that peercached backup has written; - is the standard input."`
	Yes  bool   `name:"yes" help:"Do it."`
}

func (r *restoreCommand) Run(p *program) error {
	c, err := r.client(p)
	if err != nil {
		return err
	}
	if !r.Yes {
		return usageError("all data of the node at " + c.flags.Admin + " is replaced: --yes does that")
	}
	from, err := p.open(r.File)
	if err != nil {
		return err
	}
	defer from.Close()
	resp, err := c.do(p.ctx, http.MethodPost, c.flags.Admin+dataPath+"restore", http.Header{"Content-Type": {"application/octet-stream"}}, from)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var said struct{ Keys int64 }
	if err := json.NewDecoder(resp.Body).Decode(&said); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "restored: %d keys\n", said.Keys)
	return nil
}
