package bedrock

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"

	"github.com/agentkernel/agentkernel/model"
)

// conversation writes messages. Neighbours of one side are put together, since the sides have to alternate.
type conversation struct {
	all    []types.Message
	ids    *model.CallIDs
	files  int
	status bool // the model takes the status of a result
}

func messages(req *model.Request) ([]types.Message, error) {
	name := strings.ToLower(req.Model)
	c := &conversation{
		ids:    model.NewCallIDs(callID.MatchString),
		status: strings.Contains(name, "anthropic.") || strings.Contains(name, "amazon.nova"),
	}
	for i, m := range req.Messages {
		var blocks []types.ContentBlock
		var err error
		role := types.ConversationRoleUser
		switch m.Role {
		case model.User:
			blocks, err = c.user(m)
		case model.Assistant:
			role = types.ConversationRoleAssistant
			blocks, err = c.assistant(i, m)
		case model.ToolRole:
			blocks = c.results(m)
		default:
			err = fmt.Errorf("the role %q is unknown", m.Role)
		}
		if err != nil {
			return nil, fmt.Errorf("message %d: %w", i, err)
		}
		c.add(role, blocks)
	}
	if len(c.all) == 0 {
		return nil, errors.New("the request has no message")
	}
	return c.all, nil
}

// add appends blocks; a message that says nothing is left out, for it would be refused.
func (c *conversation) add(role types.ConversationRole, blocks []types.ContentBlock) {
	if len(blocks) == 0 {
		return
	}
	if n := len(c.all); n > 0 && c.all[n-1].Role == role {
		c.all[n-1].Content = append(c.all[n-1].Content, blocks...)
		return
	}
	c.all = append(c.all, types.Message{Role: role, Content: blocks})
}

func (c *conversation) user(m model.Message) ([]types.ContentBlock, error) {
	var blocks []types.ContentBlock
	document, text := false, false
	for _, part := range m.Parts {
		switch {
		case part.File != nil:
			c.files++
			block, isDocument, err := fileBlock(part.File, c.files)
			if err != nil {
				return nil, err
			}
			document = document || isDocument
			blocks = append(blocks, block)
		case strings.TrimSpace(part.Text) != "":
			text = true
			blocks = append(blocks, &types.ContentBlockMemberText{Value: part.Text})
		}
	}
	if document && !text { // a document is refused without a text beside it
		blocks = append(blocks, &types.ContentBlockMemberText{Value: "(see the attached document)"})
	}
	return blocks, nil
}

func (c *conversation) assistant(i int, m model.Message) ([]types.ContentBlock, error) {
	var blocks []types.ContentBlock
	if text := m.Text(); strings.TrimSpace(text) != "" {
		blocks = append(blocks, &types.ContentBlockMemberText{Value: text})
	}
	calls := m.Calls()
	ids := c.ids.Calls(i, calls)
	for k, call := range calls {
		args, err := toDocument(call.Args)
		if err != nil {
			return nil, fmt.Errorf("the arguments of call %d (%s) are not a JSON object", k+1, call.Name)
		}
		blocks = append(blocks, &types.ContentBlockMemberToolUse{Value: types.ToolUseBlock{
			ToolUseId: aws.String(ids[k]), Name: aws.String(call.Name), Input: args,
		}})
	}
	return blocks, nil
}

func (c *conversation) results(m model.Message) []types.ContentBlock {
	var blocks []types.ContentBlock
	for _, part := range m.Parts {
		r := part.Result
		if r == nil {
			continue
		}
		text := r.Content
		block := types.ToolResultBlock{ToolUseId: aws.String(c.ids.Result(r))}
		if r.IsError && c.status {
			block.Status = types.ToolResultStatusError
		} else if r.IsError && !strings.HasPrefix(strings.ToLower(text), "error") {
			text = "Error: " + text
		}
		if strings.TrimSpace(text) == "" { // blank texts are refused
			text = "(no output)"
		}
		block.Content = []types.ToolResultContentBlock{&types.ToolResultContentBlockMemberText{Value: text}}
		blocks = append(blocks, &types.ContentBlockMemberToolResult{Value: block})
	}
	return blocks
}

// callID is the form of an id that Bedrock takes.
var callID = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)
