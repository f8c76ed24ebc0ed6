package house

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module = "github.com/peercache/peercache"
	root   = "../.."
)

// TestPackages checks that each package of the module imports only those that stand before it.
func TestPackages(t *testing.T) {
	faults, err := checkPackages(root, packages, apart)
	report(t, faults, err)
}

// TestRootFiles checks that each file of the root uses only names of files that stand before it.
func TestRootFiles(t *testing.T) {
	faults, err := checkFiles(root, rootFiles, everywhere)
	report(t, faults, err)
}

// TestRootIsSmall checks that the root stays small enough to live in.
func TestRootIsSmall(t *testing.T) {
	files, err := sourcesOf(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) > mostFiles {
		t.Errorf("the root has %d files: want at most %d", len(files), mostFiles)
	}
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		if lines := strings.Count(string(text), "\n"); lines > mostLines {
			t.Errorf("%s has %d lines: want at most %d", file, lines, mostLines)
		}
	}
}

// TestTableNamesFilesThatExist checks the files that docs/architecture.md sends a reader to.
func TestTableNamesFilesThatExist(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`([a-z0-9_/]+\\.(?:go|proto))`").FindAllSubmatch(text, -1)
	if len(named) < 20 {
		t.Errorf("%d files are named: want the table that was there", len(named))
	}
	for _, name := range named {
		if _, err := os.Stat(filepath.Join(root, string(name[1]))); err != nil {
			t.Errorf("it names %s: %v", name[1], err)
		}
	}
}

// TestFaultsAreFound plants back references into a small house, and sees that each is found.
func TestFaultsAreFound(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":         "module " + module,
		"low/low.go":     "package low\n\nimport _ \"" + module + "/high\"\n",
		"high/high.go":   "package high\n\nimport _ \"" + module + "/side\"\n",
		"new/new.go":     "package new\n",
		"side/side.go":   "package side\n",
		"other/go.mod":   "module " + module + "/other",
		"other/other.go": "package other\n",
		"bottom.go":      "package peercache\n\ntype thing struct{ n int }\n\nfunc (t *thing) useful(e Every) { t.work(); helper(); e.n++; _ = part{}.m }\n",
		"top.go":         "package peercache\n\nfunc (t *thing) work() { t.useful(Every{}); t.n++ }\n\nfunc helper() {}\n\ntype Every struct{ n int }\n\ntype part struct{ m int }\n",
		"extra.go":       "package peercache\n",
	} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	wants := func(faults []string, err error, want ...string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range want {
			if !slices.ContainsFunc(faults, func(fault string) bool { return strings.Contains(fault, one) }) {
				t.Errorf("no fault %q in %q", one, faults)
			}
		}
		if len(faults) != len(want) {
			t.Errorf("%d faults, want %d: %q", len(faults), len(want), faults)
		}
	}
	faults, err := checkPackages(dir, []string{"side", "low", "high", ".", "gone"}, [][2]string{{"side", "high"}})
	wants(faults, err, "low imports high", "high imports side", "new is not in the list", "gone is not there")
	faults, err = checkFiles(dir, []string{"bottom.go", "top.go", "gone.go"}, []string{"Every"})
	wants(faults, err, "bottom.go uses work", "bottom.go uses helper", "bottom.go uses part", "bottom.go uses m of", "extra.go is not in the list", "gone.go is not there")
}

func report(t *testing.T, faults []string, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range faults {
		t.Error(fault)
	}
}

// sourcesOf returns the names of the files of a folder that are no tests.
func sourcesOf(dir string) (files []string, err error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	for _, path := range paths {
		if name := filepath.Base(path); !strings.HasSuffix(name, "_test.go") {
			files = append(files, name)
		}
	}
	return files, err
}

// placesOf returns the place of each name in a list.
func placesOf(list []string) map[string]int {
	places := make(map[string]int)
	for i, name := range list {
		places[name] = i
	}
	return places
}

// checkPackages says which packages of the module at dir import one that does not stand before
// them in order, or that they are to be apart from, and which are missing in the order or in the
// module. A package is named by its folder, the root is ".".
func checkPackages(dir string, order []string, apart [][2]string) (faults []string, err error) {
	folders, err := foldersOf(dir)
	if err != nil {
		return nil, err
	}
	places := placesOf(order)
	for _, name := range order {
		if !slices.Contains(folders, name) {
			faults = append(faults, fmt.Sprintf("package %s is not there: take it off the list", name))
		}
	}
	for _, name := range folders {
		place, listed := places[name]
		if !listed {
			faults = append(faults, fmt.Sprintf("package %s is not in the list: say where it stands", name))
			continue
		}
		imported, err := importsOf(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		for _, other := range imported {
			i, listed := places[other]
			pair := func(p [2]string) bool { return p == [2]string{name, other} || p == [2]string{other, name} }
			if listed && i >= place || slices.ContainsFunc(apart, pair) {
				faults = append(faults, fmt.Sprintf("package %s imports %s: want it to do without", name, other))
			}
		}
	}
	return faults, nil
}

// foldersOf returns the folders of the module at dir that have Go files other than tests.
func foldersOf(dir string) (folders []string, err error) {
	err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if path != dir {
			_, err := os.Stat(filepath.Join(path, "go.mod"))
			if err == nil || strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" {
				return filepath.SkipDir // it is another module, or none
			}
		}
		files, err := sourcesOf(path)
		if len(files) > 0 {
			rel, _ := filepath.Rel(dir, path)
			folders = append(folders, filepath.ToSlash(rel))
		}
		return err
	})
	return folders, err
}

// importsOf returns the packages of the module that those files of a folder import which are no
// tests.
func importsOf(dir string) (imported []string, err error) {
	files, err := sourcesOf(dir)
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, file), nil, parser.ImportsOnly)
		if err != nil {
			return nil, err
		}
		for _, spec := range f.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return nil, err
			}
			if path == module {
				imported = append(imported, ".")
			} else if name, ours := strings.CutPrefix(path, module+"/"); ours {
				imported = append(imported, name)
			}
		}
	}
	slices.Sort(imported)
	return slices.Compact(imported), nil
}

// checkFiles says which files of the package at dir use a name that is defined in a file which does
// not stand before them in order: of a function, a method, a field, a type, a constant or a
// variable. It also says which files are missing in the order or in the package.
func checkFiles(dir string, order, everywhere []string) (faults []string, err error) {
	files, err := sourcesOf(dir)
	if err != nil {
		return nil, err
	}
	places := placesOf(order)
	for _, name := range order {
		if !slices.Contains(files, name) {
			faults = append(faults, fmt.Sprintf("%s is not there: take it off the list", name))
		}
	}
	for _, name := range files {
		if _, listed := places[name]; !listed {
			faults = append(faults, fmt.Sprintf("%s is not in the list: say where it stands", name))
		}
	}
	uses, err := usesBetween(dir, files, everywhere)
	if err != nil {
		return nil, err
	}
	for _, u := range uses {
		i, listed := places[u.by]
		j, usedListed := places[u.of]
		if listed && usedListed && j > i {
			faults = append(faults, fmt.Sprintf("%s uses %s of %s: want that to stand before, or to do without", u.by, u.name, u.of))
		}
	}
	return faults, nil
}

// use is that a file uses a name which another one defines.
type use struct{ by, of, name string }

// usesBetween returns the uses between files of one package.
func usesBetween(dir string, files, everywhere []string) (uses []use, err error) {
	fset := token.NewFileSet()
	var parsed []*ast.File
	for _, name := range files {
		f, err := parser.ParseFile(fset, filepath.Join(dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		parsed = append(parsed, f)
	}
	// Imported packages are empty here, so that much has no type. What the package defines itself
	// has one.
	info := &types.Info{Uses: make(map[*ast.Ident]types.Object)}
	config := types.Config{Importer: empty{}, Error: func(error) {}}
	config.Check(module, fset, parsed, info)
	free := partsOf(everywhere, parsed)
	for id, obj := range info.Uses {
		if within(free, obj.Pos()) || obj.Pkg() == nil || obj.Pkg().Path() != module || !obj.Pos().IsValid() || local(obj) {
			continue
		}
		u := use{filepath.Base(fset.Position(id.Pos()).Filename), filepath.Base(fset.Position(obj.Pos()).Filename), obj.Name()}
		if u.by != u.of && !slices.Contains(uses, u) {
			uses = append(uses, u)
		}
	}
	slices.SortFunc(uses, func(a, b use) int { return strings.Compare(a.by+a.of+a.name, b.by+b.of+b.name) })
	return uses, nil
}

// span is a part of a file.
type span struct{ from, to token.Pos }

// partsOf returns where the types of these names are declared.
func partsOf(names []string, files []*ast.File) (parts []span) {
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok && slices.Contains(names, spec.Name.Name) {
				parts = append(parts, span{spec.Pos(), spec.End()})
			}
			return true
		})
	}
	return parts
}

func within(parts []span, pos token.Pos) bool {
	return slices.ContainsFunc(parts, func(s span) bool { return s.from <= pos && pos < s.to })
}

// local reports whether an object belongs to one function.
func local(obj types.Object) bool {
	switch obj := obj.(type) {
	case *types.Func:
		return false // also a method, which has no parent
	case *types.Var:
		return !obj.IsField() && obj.Parent() != obj.Pkg().Scope()
	}
	return obj.Parent() != obj.Pkg().Scope()
}

// empty imports empty packages.
type empty struct{}

func (empty) Import(path string) (*types.Package, error) {
	p := types.NewPackage(path, filepath.Base(path))
	p.MarkComplete()
	return p, nil
}
