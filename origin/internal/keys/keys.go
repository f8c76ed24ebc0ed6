// Package keys checks the sections of origins, for their tests.
package keys

import (
	"fmt"
	"reflect"
	"strings"
)

// Undocumented returns what is wrong with the section of a kind of origin: fields without a key or a line of help, and keys that
// docs, which is docs/origins.md, does not have under the heading of the kind.
func Undocumented(docs, kind string, section any) (problems []string) {
	_, docs, _ = strings.Cut(docs, "\n## "+kind+"\n")
	docs, _, _ = strings.Cut(docs, "\n## ")
	return undocumented(docs, kind, reflect.TypeOf(section))
}

func undocumented(docs, path string, section reflect.Type) (problems []string) {
	for i := range section.NumField() {
		f := section.Field(i)
		key := f.Tag.Get("yaml")
		switch {
		case key == "-":
			continue
		case key == "":
			problems = append(problems, fmt.Sprintf("%s.%s has no key", path, f.Name))
			continue
		case f.Tag.Get("help") == "":
			problems = append(problems, fmt.Sprintf("%s.%s has no help", path, key))
		}
		if !strings.Contains(docs, "`"+key+"`") && !strings.Contains(docs, "`"+key+": ") {
			problems = append(problems, fmt.Sprintf("%s.%s is not in the docs", path, key))
		}
		if f.Type.Kind() == reflect.Struct {
			problems = append(problems, undocumented(docs, path+"."+key, f.Type)...)
		}
	}
	return problems
}
