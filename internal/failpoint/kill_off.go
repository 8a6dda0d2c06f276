//go:build !failpoint || !unix

package failpoint

// FromEnv is nil in ordinary builds: no variable can make a production process kill itself.
func FromEnv() *Set { return nil }
