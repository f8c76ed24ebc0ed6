package api

import (
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDescription checks that the OpenAPI file has all routes and all codes of problems. The module
// api/integration checks the rest.
func TestDescription(t *testing.T) {
	text := string(openAPI)
	missing := map[target]bool{toValue: true, toBatchGet: true, toRemove: true, toClear: true, toGroups: true, toOpenAPI: true, toClassic: true}
	for _, path := range regexp.MustCompile(`(?m)^  (/\S*):$`).FindAllStringSubmatch(text, -1) {
		rt, ok := routeOf(&url.URL{Path: strings.NewReplacer("{", "", "}", "").Replace(path[1])})
		if !ok || !missing[rt.kind] {
			t.Errorf("%s: the handler has no such route, or it has another path", path[1])
		}
		delete(missing, rt.kind)
	}
	if len(missing) > 0 || int(toClassic)+1 != 7 {
		t.Errorf("routes are missing: %v", missing)
	}

	source, err := os.ReadFile("problem.go")
	if err != nil {
		t.Fatal(err)
	}
	codes := firsts(regexp.MustCompile(`(?m)^\tcode\w+ += "(\w+)"`).FindAllStringSubmatch(string(source), -1))
	_, list, _ := strings.Cut(text, "          enum:\n")
	described := firsts(regexp.MustCompile(`(?m)^            - (\w+)$`).FindAllStringSubmatch(list, -1))
	if !slices.Equal(codes, described) || len(codes) < 25 {
		t.Errorf("the codes are %q, described are %q", codes, described)
	}
}

func firsts(found [][]string) (all []string) {
	for _, one := range found {
		all = append(all, one[1])
	}
	slices.Sort(all)
	return all
}
