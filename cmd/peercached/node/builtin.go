package node

import (
	"github.com/peercache/peercache/origin/command"
	"github.com/peercache/peercache/origin/files"
	"github.com/peercache/peercache/origin/web"
)

// builtin are the kinds of origins that come with the program.
var builtin = Origins{
	"command": command.Factory,
	"files":   files.Factory,
	"http":    web.Factory,
}
