// Package inference holds tests against a real inference engine: llama.cpp with real, if tiny, weights, behind the API
// of OpenAI, and the ak binary in front of it. They show what no script does: an engine's own streams, token counts and
// tool calls, and what is left of an answer when its process is killed.
//
// The engine is in testdata/engine, its weights and where they come from in testdata/model. scripts/engine.sh installs
// what they need; without it these tests fail.
package inference
