package api

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// The types of answers.
const (
	typeRaw    = "application/octet-stream"
	typeJSON   = "application/json"
	typeNDJSON = "application/x-ndjson"
)

// negotiate returns which of the types offered the client wants, by its Accept: the one with the
// highest quality. Of two with the same, it is the one that Accept names in full, else the first.
func negotiate(r *http.Request, offered ...string) (string, *problem) {
	given := r.Header["Accept"]
	if len(given) == 0 || len(given) == 1 && (given[0] == "*/*" || given[0] == "") {
		return offered[0], nil
	}
	best, bestQuality, bestRank := "", 0.0, 0
	for _, offer := range offered {
		quality, rank := qualityOf(given, offer)
		if quality > bestQuality || quality == bestQuality && quality > 0 && rank > bestRank {
			best, bestQuality, bestRank = offer, quality, rank
		}
	}
	if best == "" {
		return "", &problem{status: http.StatusNotAcceptable, code: codeNotAcceptable, detail: "there is " + strings.Join(offered, " and ") + " here: want one of them in the header Accept"}
	}
	return best, nil
}

// qualityOf returns the quality that the most precise range of an Accept gives to a type, and how
// precise that is: 3 if it names the type, 2 for application/*, 1 for */*, 0 if there is none.
func qualityOf(lists []string, offer string) (quality float64, rank int) {
	major, _, _ := strings.Cut(offer, "/")
	for _, list := range lists {
		for one := range strings.SplitSeq(list, ",") {
			name, rest, _ := strings.Cut(one, ";")
			name = strings.ToLower(strings.TrimSpace(name))
			is := 0
			switch name {
			case offer:
				is = 3
			case major + "/*":
				is = 2
			case "*/*":
				is = 1
			}
			if is > rank {
				quality, rank = qualityIn(rest), is
			}
		}
	}
	return quality, rank
}

// qualityIn returns the q among the parameters of a range. What cannot be read counts as 1.
func qualityIn(parameters string) float64 {
	for one := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(one), "=")
		if strings.EqualFold(name, "q") {
			if q, err := strconv.ParseFloat(value, 64); err == nil && q >= 0 && q <= 1 {
				return q
			}
		}
	}
	return 1
}

// wantJSON refuses a body that is not said to be JSON. A web page of somebody else cannot have a
// browser send that type without being asked first (CORS).
func wantJSON(r *http.Request) *problem {
	given := r.Header.Get("Content-Type")
	name, parameters, err := mime.ParseMediaType(given)
	charset := parameters["charset"]
	if err != nil || name != typeJSON || charset != "" && !strings.EqualFold(charset, "utf-8") {
		return &problem{status: http.StatusUnsupportedMediaType, code: codeMediaType, detail: "want a body of the Content-Type " + typeJSON}
	}
	return nil
}
