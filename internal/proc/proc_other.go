//go:build !linux

package proc

// Self is not known on this system.
func Self() ID { return ID{} }

// Gone is not known on this system.
func Gone(ID, ID) bool { return false }
