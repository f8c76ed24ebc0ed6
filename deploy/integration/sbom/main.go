// Sbom writes what is in a Go program, as Go itself has noted it there: a list in CycloneDX of each
// module that was compiled in, and of Go. It asks nobody.
//
//	go run ./sbom [-dir DIR] PROGRAM FILE
//
// Modules of this repository come with it, at the version of the program.
package main

import (
	"cmp"
	"debug/buildinfo"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/CycloneDX/cyclonedx-go"
)

func main() {
	dir := flag.String("dir", "", "the directory that relative names begin in")
	version := flag.String("version", "", "of the program, if Go has not noted one")
	flag.Parse()
	if err := write(*dir, *version, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

func write(dir, version string, args []string) error {
	if len(args) != 2 {
		return errors.New("want the names of a program and of the file to write")
	}
	for i, name := range args {
		if !filepath.IsAbs(name) {
			args[i] = filepath.Join(dir, name)
		}
	}
	info, err := buildinfo.ReadFile(args[0])
	if err != nil {
		return err
	}
	f, err := os.Create(args[1])
	if err != nil {
		return err
	}
	encoder := cyclonedx.NewBOMEncoder(f, cyclonedx.BOMFileFormatJSON).SetPretty(true)
	return errors.Join(encoder.EncodeVersion(bom(info, version), cyclonedx.SpecVersion1_6), f.Close())
}

// bom lists the modules of a program.
func bom(info *debug.BuildInfo, version string) *cyclonedx.BOM {
	b := cyclonedx.NewBOM()
	version = cmp.Or(version, strings.Trim(info.Main.Version, "()"))
	program := component(cyclonedx.ComponentTypeApplication, info.Main.Path, version)
	b.Metadata = &cyclonedx.Metadata{Component: &program}
	goVersion, _, _ := strings.Cut(strings.TrimPrefix(info.GoVersion, "go"), " ")
	all := []cyclonedx.Component{component(cyclonedx.ComponentTypeLibrary, "std", goVersion)}
	refs := []string{all[0].BOMRef}
	for _, m := range info.Deps {
		one := component(cyclonedx.ComponentTypeLibrary, m.Path, m.Version)
		switch r := m.Replace; {
		case r == nil:
		case strings.HasPrefix(r.Path, "."): // a directory of the repository
			one = component(cyclonedx.ComponentTypeLibrary, m.Path, version)
		default:
			one = component(cyclonedx.ComponentTypeLibrary, r.Path, r.Version)
		}
		all, refs = append(all, one), append(refs, one.BOMRef)
	}
	b.Components = &all
	b.Dependencies = &[]cyclonedx.Dependency{{Ref: program.BOMRef, Dependencies: &refs}}
	return b
}

func component(kind cyclonedx.ComponentType, path, version string) cyclonedx.Component {
	url := "pkg:golang/" + path + "@" + version
	return cyclonedx.Component{BOMRef: url, Type: kind, Name: path, Version: version, PackageURL: url}
}
