//go:build !linux

package chaos

func parent() {}
