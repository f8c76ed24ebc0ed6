package node

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/peercache/peercache/cmd/peercached/internal/conf"
)

const description = `A node of a peercache cluster: read-through groups over origins that a file names, for HTTP, gRPC and Redis clients.`

// help prints the help of a command, and for those that read a configuration all its keys.
func (p *program) help(o kong.HelpOptions, ctx *kong.Context) error {
	if err := kong.DefaultHelpPrinter(o, ctx); err != nil {
		return err
	}
	if ctx.Selected() == nil || !hasKeys(ctx.Selected().Name) {
		fmt.Fprint(p.stdout, exitHelp)
		return nil
	}
	if ctx.Selected().Name != "serve" {
		fmt.Fprint(p.stdout, "\nEach key of the configuration is a flag as well: peercached serve --help lists them.\n", exitHelp)
		return nil
	}
	fmt.Fprintf(p.stdout, keysHelp, strings.Join(p.origins.kinds(), ", "))
	writeKeys(p.stdout, conf.Keys(defaultConfig()))
	return nil
}

func hasKeys(name string) bool {
	for _, one := range withKeys {
		if one == name {
			return true
		}
	}
	return false
}

const exitHelp = `
Exit status: 0 done, 1 failed, 2 wrong configuration or command line, 3 the node had to end before everything was
answered and handed over, 4 get: there is no such key, 130 a second signal ended the node at once.
`

const keysHelp = `
A configuration:

    peers: {listen: "127.0.0.1:8001"}
    admin: {listen: "127.0.0.1:8002"}
    http:  {listen: "127.0.0.1:8003"}
    groups:
      - {name: files, bytes: 64MiB, ttl: 1m, origin: {files: {dir: ./data}}}

Each key of it is a flag and a variable of the environment as well: --groups.files.ttl=2m goes before
PEERCACHED_GROUPS_FILES_TTL=2m, and that before the file. Lists have commas; the value of a section is what would stand
in the file: --http='{listen: "127.0.0.1:8003"}'. Origins are of kind %s.

SIGTERM and SIGINT end the node gracefully, a second one at once. SIGHUP, or a changed file, has it read again; what is
marked (reload) changes then, and the log says what needs a restart.

A DURATION is such as 500ms, 10s, 1m30s or 24h, or forever; a SIZE such as 64MiB, 1GB or 4096. What has no value is a switch:
--peers.insecure, or --peers.insecure=false.

Keys:
`

// clusterPeers is where the keys of peers stand once more.
const clusterPeers = "clusters.NAME.peers."

// writeKeys lists keys.
func writeKeys(w io.Writer, keys []conf.Key) {
	for _, k := range keys {
		if strings.HasPrefix(k.Path, clusterPeers) { // they are those of peers
			continue
		}
		if k.Path+"." == clusterPeers {
			k.Help += "; its keys are those of peers"
		}
		if k.Section {
			fmt.Fprintf(w, "\n  %s: %s", k.Path, k.Help)
			if k.Default != "" {
				fmt.Fprintf(w, " (default: %s)", k.Default)
			}
			fmt.Fprintln(w)
			continue
		}
		more := ""
		if k.Default != "" && k.Default != `""` && k.Default != "[]" && k.Default != "false" {
			more = "default: " + k.Default
		}
		if k.Reload {
			more = strings.TrimPrefix(more+"; reload", "; ")
		}
		if more != "" {
			more = " (" + more + ")"
		}
		fmt.Fprintf(w, "    --%s %s\n        %s%s\n", k.Path, placeholder(k.Want), k.Help, more)
	}
}

// placeholder returns what stands for a value: DURATION, or what it looks like, in brackets.
func placeholder(want string) string {
	for prefix, name := range map[string]string{"a duration": "DURATION", "a size": "SIZE", "a whole number": "NUMBER", "a number": "NUMBER",
		"true or false": "", "a file": "FILE", "a text": "TEXT", "HOST:PORT": "HOST:PORT"} {
		if want == prefix || strings.HasPrefix(want, prefix+",") {
			return name
		}
	}
	return "<" + want + ">"
}
