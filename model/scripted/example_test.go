package scripted_test

import (
	"context"
	"fmt"

	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/model/scripted"
)

func Example() {
	script, err := scripted.Parse([]byte(`{"rules": [
		{"when": "(?i)open the (\\w+)",
		 "calls": [{"tool": "open", "args": {"what": "${1}"}}],
		 "then": [{"say": "The ${1} is ${result}."}]}]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	provider, err := scripted.New(scripted.Config{Script: script})
	if err != nil {
		fmt.Println(err)
		return
	}
	req := &model.Request{
		Tools:    []model.Tool{{Name: "open"}},
		Messages: []model.Message{model.UserText("Please open the door")},
	}
	for range 2 {
		answer, err := provider.Generate(context.Background(), req, nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		req.Messages = append(req.Messages, answer.Message)
		for _, c := range answer.Message.Calls() {
			fmt.Printf("%s(%s)\n", c.Name, c.Args)
			req.Messages = append(req.Messages, model.Message{Role: model.ToolRole, Parts: []model.Part{{
				Result: &model.Result{CallID: c.ID, Name: c.Name, Content: "open"},
			}}})
		}
		fmt.Println(answer.Message.Text())
	}
	// Output:
	// open({"what":"door"})
	//
	// The door is open.
}
