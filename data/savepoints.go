package data

// Savepoint is a place in a Transaction.
type Savepoint int

// savepoints are those of a transaction that are good.
type savepoints struct {
	made Savepoint   // the last one
	good []savepoint // in the order of their places
}

// savepoint is a Savepoint after so many commands.
type savepoint struct {
	name     Savepoint
	commands int
}

// add makes a savepoint after so many commands.
func (p *savepoints) add(commands int) Savepoint {
	p.made++
	p.good = append(p.good, savepoint{p.made, commands})
	return p.made
}

// backTo returns after how many commands s is, and forgets the savepoints after it.
func (p *savepoints) backTo(s Savepoint) (commands int, err error) {
	for i, at := range p.good {
		if at.name == s {
			p.good = p.good[:i+1]
			return at.commands, nil
		}
	}
	return 0, ErrNoSavepoint
}

// undone forgets the savepoints after so many commands.
func (p *savepoints) undone(commands int) {
	for len(p.good) > 0 && p.good[len(p.good)-1].commands > commands {
		p.good = p.good[:len(p.good)-1]
	}
}
