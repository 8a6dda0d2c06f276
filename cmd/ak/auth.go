package main

import (
	"bufio"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/agentkernel/agentkernel/auth"
	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

func (a *app) authCommand() *cobra.Command {
	return a.group("auth", "Make API keys", a.authKey(), a.authHash())
}

const authKeyLong = `key makes an API key and shows it once, with the lines of the configuration that let it in. Only its hash is configured; a
key that is lost is replaced by a new one. Several may be in force at once: add the new one, send SIGHUP to the servers,
move the clients, then remove the old one.`

// newKey is a key as ak auth key shows it.
type newKey struct {
	Key    string   `json:"key"`
	ID     string   `json:"id"`
	Hash   string   `json:"hash"`
	Tenant string   `json:"tenant,omitempty"`
	Roles  []string `json:"roles"`
}

func (a *app) authKey() *cobra.Command {
	var k newKey
	cmd := a.withOutput(&cobra.Command{
		Use: "key", Short: "Make an API key", Long: authKeyLong, Args: a.noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.makeKey(cmd, k) },
	})
	cmd.Flags().StringVar(&k.ID, "id", "", "`name` of the key, for logs (default: made of its hash)")
	cmd.Flags().StringVar(&k.Tenant, "tenant", "", "`tenant` whose sessions it opens")
	cmd.Flags().StringSliceVar(&k.Roles, "roles", []string{string(auth.User)}, "`roles`, separated by commas: user, approver, operator")
	return cmd
}

func (a *app) makeKey(cmd *cobra.Command, k newKey) error {
	for _, r := range k.Roles {
		if !slices.Contains(auth.Roles(), auth.Role(r)) {
			return usage(cmd, "there is no role %q; there is user, approver and operator", r)
		}
	}
	for name, id := range map[string]string{"--id": k.ID, "--tenant": k.Tenant} {
		if err := session.CheckID(name, id); id != "" && err != nil {
			return err
		}
	}
	k.Key, k.Hash = auth.NewKey()
	if k.ID == "" {
		_, digits, _ := strings.Cut(k.Hash, ":")
		k.ID = "key-" + digits[:8]
	}
	if _, err := auth.NewKeys([]auth.Key{{ID: k.ID, Hash: k.Hash, Tenant: k.Tenant, Roles: k.Roles}}); err != nil {
		return err
	}
	if a.format == asJSON {
		return printValue(a.out, k)
	}
	_, _ = fmt.Fprintln(a.err, "The key, shown this once:")
	_, _ = fmt.Fprintln(a.out, k.Key)
	_, _ = fmt.Fprintln(a.err, "\nIn the configuration:")
	tenant := ""
	if k.Tenant != "" {
		tenant = fmt.Sprintf(", tenant: %q", k.Tenant)
	}
	_, err := fmt.Fprintf(a.out, "\nauth:\n  mode: api_key\n  keys:\n    - {id: %q, hash: %q%s, roles: [%s]}\n", k.ID, k.Hash, tenant, strings.Join(k.Roles, ", "))
	return err
}

func (a *app) authHash() *cobra.Command {
	return &cobra.Command{
		Use: "hash", Short: "Say the hash of an API key that is given on standard input", Args: a.noArgs,
		Long: "hash reads an API key from standard input, one line, and writes what to configure for it. The key should be long and\nrandom, as ak auth key makes them: its hash can be searched for.",
		RunE: func(*cobra.Command, []string) error {
			in := bufio.NewScanner(a.in)
			if in.Scan() && strings.TrimSpace(in.Text()) != "" {
				_, err := fmt.Fprintln(a.out, auth.Hash(strings.TrimSpace(in.Text())))
				return err
			}
			return fault.New(fault.BadRequest, "", "there is no key on standard input").WithTry("ak auth key makes one")
		},
	}
}
