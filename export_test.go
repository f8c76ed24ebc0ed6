package peercache

// WithPlanted plants a bug: see planted.go.
func WithPlanted(b bug) GroupOption {
	return func(g *Group) error {
		g.planted = b
		return nil
	}
}

// The bugs that can be planted.
const (
	PlantNoTaint         = noTaint
	PlantLeaseFromAnswer = leaseFromAnswer
	PlantCopiesFirst     = copiesFirst
)
