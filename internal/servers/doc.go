// Package servers starts real servers for tests, as child processes on free ports of the loopback interface: one file
// for each kind. A server lives as long as the test that started it, and never longer than the process of the tests.
//
// A program that is not installed fails the test, and the failure says what to install. Nothing is ever skipped.
//
// Where an environment variable names a real endpoint (see each file), tests of conformance use that one instead.
package servers
