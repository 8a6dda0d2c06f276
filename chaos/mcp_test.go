package chaos

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	mcptool "github.com/agentkernel/agentkernel/tool/mcp"
)

// serveMCP is an MCP server with one tool, which acts at the desk..
func serveMCP() {
	s := mcp.NewServer(&mcp.Implementation{Name: "chaos", Version: "1"}, nil)
	s.AddTool(&mcp.Tool{Name: "pay", Description: "pays", InputSchema: map[string]any{"type": "object"}},
		func(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			key, _ := req.Params.Meta[mcptool.MetaKey].(string)
			text, err := act(ctx, key)
			if err != nil {
				return nil, err
			}
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}, nil
		})
	_ = s.Run(context.Background(), &mcp.StdioTransport{})
}

func act(ctx context.Context, key string) (string, error) {
	body := strings.NewReader(fmt.Sprint(os.Getpid()))
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, os.Getenv("CHAOS_URL")+"/do/pay", body)
	if err != nil {
		return "", err
	}
	r.Header.Set("Idempotency-Key", key)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return string(text), err
}
