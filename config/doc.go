// Package config reads, checks, prints and describes the configuration of an agent server.
//
// The configuration is a tree of plain structs, [Config]. Their struct tags are the only place that knows a key's name,
// description, default and bounds; the reader, the checks, the printed form and the JSON Schema all follow from them.
// A new key is one new field.
//
// # Sources
//
// Four sources are laid over each other, the later ones winning:
//
//  1. the defaults;
//  2. one YAML file: [Options].Path, else AK_CONFIG_PATH_OVERRIDE, else config.yaml in the working directory, if there
//     is one;
//  3. environment variables AK_SECTION__KEY: the key's path in capitals, its parts joined by two underscores;
//  4. [Options].Flags.
//
// Objects are merged key by key. A list replaces the list below it. A variable or flag may also reach into a list,
// by number or by name: AK_TOOLS__0__TIMEOUT, AK_AGENTS__ASSISTANT__MODEL. A part of a variable's name matches a name
// that holds "-" or other signs as if they were "_". A list is given as "a,b" or as JSON, an object as JSON.
//
// Every value remembers where it came from ([Config.Source]).
//
// # Strictness
//
// A key in the file, a flag, or a variable with two underscores that is not known is an error which names the nearest
// key. Any other unknown AK_ variable is a warning, because a cluster injects some (AK_PORT for a service called "ak").
// Nothing is corrected in silence. All problems are reported at once, each with where, what, why, and what to try. A
// value of the wrong sort is a problem even where a later source replaces it.
//
// # Secrets
//
// In any text except names and fixed choices, <file:NAME> stands for the content of the file NAME in the folder
// AK_SECRETS_PATH, without its last line break. Keys and header values are of type [Secret], URLs of type [URL]; they
// print masked in every form that fmt, encoding/json, YAML and log/slog know. Printing a whole [Config] shows the
// reference in place of what it was replaced by. Problems never quote a secret. One limit remains: text read through a
// reference into a field of type string (an agent's instructions, say) is plain text to whoever prints that field by
// itself.
//
// Relative paths in the configuration are relative to the working directory, not to the file.
package config
