package main

import (
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/agentkernel/agentkernel/config"
)

const envLong = `env lists every environment variable that sets a value of the configuration, with its type and default, and which of them
are set now; their values are not shown. <ID>, <NAME> and <HEADER> stand for names of your own, with everything but
letters and digits written as an underscore: AK_AGENTS__MY_AGENT__MODEL is the model of the agent my-agent.`

// otherVariables are those that are read and set no key of the configuration.
var otherVariables = []config.Variable{
	{Name: config.EnvFile, Type: "text", Default: config.DefaultFile, Doc: "The configuration file to read."},
	{Name: config.EnvSecrets, Type: "text", Doc: "The folder of the files that <file:NAME> names."},
	{Name: config.EnvOpenAIKey, Type: "text", Doc: "The default of api_key of providers of type openai."},
	{Name: config.EnvOpenAIBaseURL, Type: "text", Doc: "The default of base_url of providers of type openai."},
	{Name: config.EnvAnthropicKey, Type: "text", Doc: "The default of api_key of providers of type anthropic."},
	{Name: config.EnvAnthropicBaseURL, Type: "text", Doc: "The default of base_url of providers of type anthropic."},
	{Name: config.EnvGeminiKey, Type: "text", Doc: "The default of api_key of providers of type gemini."},
	{Name: config.EnvGoogleKey, Type: "text", Doc: "The same, where " + config.EnvGeminiKey + " is not set."},
	{Name: config.EnvBedrockToken, Type: "text", Doc: "The default of api_key of providers of type bedrock."},
	{Name: config.EnvAWSRegion, Type: "text", Doc: "The default of region of providers of type bedrock."},
	{Name: config.EnvAWSDefaultRegion, Type: "text", Doc: "The same, where " + config.EnvAWSRegion + " is not set."},
	{Name: envAPIKey, Type: "text", Doc: "The key that commands send to a server; --api-key goes before it."},
	{Name: envMemoryLimit, Type: "bytes, as in 900MiB", Doc: "Go's soft memory limit. Without it ak serve sets it to 90 % of the container's."},
}

// envRow is a variable and which variables of its form are set.
type envRow struct {
	config.Variable
	Set []string `json:"set"`
}

func (a *app) configEnv() *cobra.Command {
	return a.withOutput(&cobra.Command{
		Use: "env", Short: "List the environment variables that set values", Long: envLong, Args: a.noArgs,
		RunE: func(*cobra.Command, []string) error {
			all := envRows(os.Environ())
			if a.format == asJSON {
				return printValue(a.out, map[string]any{"variables": all})
			}
			rows := make([][]string, 0, len(all))
			for _, v := range all {
				rows = append(rows, []string{v.Name, v.Type, v.Default, shownSet(v), v.Doc})
			}
			return table(a.out, "VARIABLE TYPE DEFAULT NOW MEANING", rows)
		},
	})
}

func envRows(environ []string) []envRow {
	var names []string
	for _, pair := range environ {
		if name, value, _ := strings.Cut(pair, "="); value != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var all []envRow
	for _, v := range config.Variables() {
		row := envRow{Variable: v, Set: []string{}}
		for _, name := range names {
			if v.Fits(name) {
				row.Set = append(row.Set, name)
			}
		}
		all = append(all, row)
	}
	for _, v := range otherVariables {
		row := envRow{Variable: v, Set: []string{}}
		if slices.Contains(names, v.Name) {
			row.Set = append(row.Set, v.Name)
		}
		all = append(all, row)
	}
	return all
}

// shownSet is a mask for a variable that is set, and its names where they are the reader's own.
func shownSet(v envRow) string {
	switch {
	case len(v.Set) == 0:
		return ""
	case strings.Contains(v.Name, "<"):
		return strings.Join(v.Set, "=*** ") + "=***"
	}
	return config.Mask
}
