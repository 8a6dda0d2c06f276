package mcptool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// serve is a server process. Its tools act by writing a line with the call's key to the file named by MCP_LOG.
func serve(role string) {
	switch role {
	case "garbage":
		fmt.Println("Welcome to my server! {")
		_, _ = io.Copy(io.Discard, os.Stdin)
	case "silent":
		_, _ = io.Copy(io.Discard, os.Stdin)
	case "deaf": // answers the start, and then reads nothing any more
		deaf()
	case "exit":
		fmt.Fprintln(os.Stderr, "no licence found, key was", os.Getenv("API_TOKEN"))
		os.Exit(3)
	case "stdio":
		_ = server().Run(context.Background(), &mcp.StdioTransport{})
	case "http":
		serveHTTP()
	}
}

func serveHTTP() {
	l, err := net.Listen("tcp", os.Getenv("MCP_ADDR"))
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	s := server()
	h := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, nil)
	fmt.Println(l.Addr())
	_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if want := os.Getenv("API_TOKEN"); want != "" && r.Header.Get("Authorization") != "Bearer "+want {
			http.Error(w, "who are you? not "+r.Header.Get("Authorization"), http.StatusUnauthorized)
			return
		}
		h.ServeHTTP(w, r)
	}))
}

// server has the tools that MCP_TOOLS lists; the default is all of them.
func server() *mcp.Server {
	s := mcp.NewServer(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	names := "echo add die hang fail broken picture garbage litter big spell.out"
	if file := os.Getenv("MCP_TOOLS"); file != "" {
		b, _ := os.ReadFile(file)
		names = string(b)
	}
	for name := range strings.FieldsSeq(names) {
		t := &mcp.Tool{Name: name, Description: "does " + name, InputSchema: json.RawMessage(`{"type":"object","properties":{"n":{"type":"number"},"s":{"type":"string"}},"additionalProperties":false}`)}
		switch name {
		case "echo":
			t.Annotations = &mcp.ToolAnnotations{ReadOnlyHint: true, IdempotentHint: true}
		case "odd":
			t.InputSchema = json.RawMessage(`{"type":"object","$ref":"https://example.com/x"}`)
		}
		s.AddTool(t, func(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return act(ctx, name, req)
		})
	}
	return s
}

func text(s string) *mcp.CallToolResult {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: s}}}
}

func act(ctx context.Context, name string, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	note(name, req.Params.Meta[MetaKey])
	switch name {
	case "echo":
		b, _ := json.Marshal(map[string]any{"args": req.Params.Arguments, "key": req.Params.Meta[MetaKey], "epoch": req.Params.Meta[MetaEpoch]})
		return text(string(b)), nil
	case "add":
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: `{"sum": 3}`}}, StructuredContent: map[string]any{"sum": 3}}, nil
	case "die":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "hang":
		<-ctx.Done()
		return nil, ctx.Err()
	case "fail":
		res := text("no such order; I used " + os.Getenv("API_TOKEN"))
		res.IsError = true
		return res, nil
	case "broken":
		return nil, errors.New("database is on fire")
	case "picture":
		return &mcp.CallToolResult{
			Content: []mcp.Content{
				&mcp.TextContent{Text: "a cat"}, &mcp.ImageContent{Data: []byte("1234"), MIMEType: "image/png"},
				&mcp.EmbeddedResource{Resource: &mcp.ResourceContents{URI: "file:///a", Text: "words"}},
				&mcp.ResourceLink{Name: "b", URI: "file:///b"},
			},
			StructuredContent: map[string]any{"cats": 1},
		}, nil
	case "garbage":
		_, _ = os.Stdout.WriteString("%%% not json\n")
		select {}
	case "litter": // leaves a process behind that holds every pipe
		cmd := exec.Command("sleep", "300")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		return text(fmt.Sprint(os.Getpid(), " ", cmd.Process.Pid)), nil
	case "big":
		fmt.Fprintln(os.Stderr, strings.Repeat("x", 5000))
		for i := range 400 {
			fmt.Fprintln(os.Stderr, "line", i, os.Getenv("API_TOKEN"))
		}
		return text(os.Getenv("SECRET_OF_THE_PARENT") + "|" + os.Getenv("API_TOKEN") + "|" + os.Getenv("PATH")), nil
	}
	return text("did " + name), nil
}

func note(name string, key any) {
	f, err := os.OpenFile(os.Getenv("MCP_LOG"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	defer func() { _ = f.Close() }()
	_, _ = fmt.Fprintln(f, name, key)
}

// deaf plays a server over raw lines until it has told its tools.
func deaf() {
	dec := json.NewDecoder(os.Stdin)
	for {
		var m struct {
			ID     any    `json:"id"`
			Method string `json:"method"`
		}
		if dec.Decode(&m) != nil {
			return
		}
		switch m.Method {
		case "initialize":
			fmt.Printf(`{"jsonrpc":"2.0","id":%v,"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"deaf","version":"1"}}}`+"\n", m.ID)
		case "tools/list":
			fmt.Printf(`{"jsonrpc":"2.0","id":%v,"result":{"tools":[{"name":"echo","inputSchema":{"type":"object"}}]}}`+"\n", m.ID)
			time.Sleep(time.Hour)
		default:
			if m.ID != nil {
				fmt.Printf(`{"jsonrpc":"2.0","id":%v,"error":{"code":-32601,"message":"no such method"}}`+"\n", m.ID)
			}
		}
	}
}
