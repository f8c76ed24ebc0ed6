package resp

// Memory returns what is taken of Limits.ClientBytes.
func Memory(s *Server) int64 { return s.memory.Load() }
