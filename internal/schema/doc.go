// Package schema makes JSON Schemas (draft 2020-12) of Go types and checks documents against schemas.
//
// It serves two callers with one set of rules. A typed tool is declared by a Go function, and [For] turns the type of
// its argument into the schema that the model is given. The configuration is a tree of Go structs, and [Reflect] turns
// it into the schema that an editor is given; the configuration's own struct tags are applied through [Options].
//
// Every schema is written out in one piece, without $ref: model providers differ in how much of $ref they follow, and
// a schema that one of them misreads costs a failed call, not a failed start. The price is that a type that contains
// itself has no schema here; that, and any type JSON cannot carry, is an error when the tool is declared and never a
// panic.
//
// [Compile] is the other direction. A schema that a user wrote is compiled before the process serves, so that a
// mistake in it is found at start. Nothing is ever loaded from a file or over the network on behalf of a schema: a
// $ref to something outside the document is an error.
package schema
