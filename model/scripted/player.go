package scripted

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"

	"github.com/agentkernel/agentkernel/fault"
)

// Player is a checked script. It is immutable and safe for concurrent use.
type Player struct {
	rules        []rule
	otherwise    stage
	hasOtherwise bool // the script says itself what to answer when no rule applies
	builtin      bool // its words are made for anyone
}

type rule struct {
	when, recall *regexp.Regexp
	elseSay      template
	hasElse      bool
	stages       []stage
	repeat       bool
	files        bool
}

type stage struct {
	say   template
	calls []call
}

type call struct {
	tool string
	args map[string]any // strings are templates
}

// NewPlayer checks a script. The error is of kind fault.Config and names every mistake, each with its place.
func NewPlayer(s Script) (*Player, error) {
	p := &Player{}
	var errs []error
	for i, r := range s.Rules {
		compiled, err := compileRule(r)
		for _, e := range err {
			errs = append(errs, fmt.Errorf("rules[%d].%w", i, e))
		}
		p.rules = append(p.rules, compiled)
	}
	otherwise := Stage{Say: "You said: ${text}"}
	if s.Otherwise != nil {
		otherwise, p.hasOtherwise = *s.Otherwise, true
	}
	last, err := compileStage(otherwise, &scope{})
	if err == nil && len(last.calls) > 0 {
		err = []error{errors.New("calls: only a rule can call tools, for it says what comes after them")}
	}
	for _, e := range err {
		errs = append(errs, fmt.Errorf("otherwise.%w", e))
	}
	p.otherwise = last
	if len(errs) > 0 {
		return nil, fault.New(fault.Config, "scripted.NewPlayer", "%w", errors.Join(errs...))
	}
	return p, nil
}

func compileRule(r Rule) (rule, []error) {
	var errs []error
	out := rule{repeat: r.Repeat, files: r.Files}
	if r.When == "" {
		errs = append(errs, errors.New("when: is missing"))
	}
	expr := func(field, text string) *regexp.Regexp {
		re, err := regexp.Compile(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", field, err))
		}
		return re
	}
	out.when = expr("when", r.When)
	if r.Recall != "" {
		out.recall = expr("recall", r.Recall)
	}
	if len(errs) > 0 { // without the groups the references cannot be checked
		return out, errs
	}
	s := &scope{when: out.when, recall: out.recall}
	if r.Else != "" {
		var err error
		if r.Recall == "" {
			errs = append(errs, errors.New("else: means nothing without \"recall\""))
		} else if out.elseSay, err = parseTemplate(r.Else, &scope{when: out.when}); err != nil {
			errs = append(errs, fmt.Errorf("else: %w", err))
		}
		out.hasElse = true
	}
	first, stageErrs := compileStage(Stage{Say: r.Say, Calls: r.Calls}, s)
	errs = append(errs, stageErrs...)
	out.stages = append(out.stages, first)
	s.called = s.called || len(r.Calls) > 0
	for i, st := range r.Then {
		next, stageErrs := compileStage(st, s)
		for _, e := range stageErrs {
			errs = append(errs, fmt.Errorf("then[%d].%w", i, e))
		}
		out.stages = append(out.stages, next)
		s.called = s.called || len(st.Calls) > 0
	}
	if len(errs) == 0 {
		errs = checkOrder(out)
	}
	if last := out.stages[len(out.stages)-1]; len(last.calls) > 0 && !r.Repeat {
		out.stages = append(out.stages, stage{say: template{{name: "result"}}})
	}
	return out, errs
}

// checkOrder finds stages that can never be reached, because the one before them ends the turn.
func checkOrder(r rule) []error {
	var errs []error
	for i := range r.stages {
		last := i == len(r.stages)-1
		if len(r.stages[i].calls) > 0 || last && !r.repeat {
			continue
		}
		if last {
			errs = append(errs, errors.New("repeat: the last stage calls no tool, so nothing comes after it"))
			continue
		}
		errs = append(errs, fmt.Errorf("then[%d]: is never reached, the stage before it calls no tool", i))
	}
	return errs
}

func compileStage(st Stage, s *scope) (stage, []error) {
	var errs []error
	var out stage
	if st.Say == "" && len(st.Calls) == 0 {
		return out, []error{errors.New("say: a stage needs \"say\" or \"calls\"")}
	}
	say, err := parseTemplate(st.Say, s)
	if err != nil {
		errs = append(errs, fmt.Errorf("say: %w", err))
	}
	out.say = say
	for i, c := range st.Calls {
		if c.Tool == "" {
			errs = append(errs, fmt.Errorf("calls[%d].tool: is missing", i))
		}
		args, err := parseArgs(c.Args, s)
		if err != nil {
			errs = append(errs, fmt.Errorf("calls[%d].args.%w", i, err))
			continue
		}
		if _, err := json.Marshal(c.Args); err != nil { // possible only for a script written in Go
			errs = append(errs, fmt.Errorf("calls[%d].args: %w", i, err))
		}
		m, _ := args.(map[string]any)
		out.calls = append(out.calls, call{tool: c.Tool, args: m})
	}
	return out, errs
}
