// Package bridge leads from a driver of package data to what keeps its data, for the other packages of the module:
// users of package data do not see it.
package bridge

import "github.com/peercache/peercache/data/internal/engine"

// EngineOf returns the engine of a *data.Memory. Package data sets it.
var EngineOf func(memory any) *engine.Engine
