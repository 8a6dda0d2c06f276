package modeltest

import "fmt"

// Violations runs the named cases, or all if only is nil, and returns what Run would report, by the name of the case.
func Violations(h Harness, only map[string]string) map[string][]string {
	all := map[string][]string{}
	for _, c := range allCases() {
		if _, ok := only[c.name]; !ok && only != nil {
			continue
		}
		p := &probe{h: h}
		p.report = func(format string, args ...any) {
			all[c.name] = append(all[c.name], fmt.Sprintf(format, args...))
		}
		p.run(c)
		if p.checked.Load() == 0 {
			all[c.name] = append(all[c.name], "checked nothing")
		}
	}
	return all
}

// CaseNames are the names of all cases.
func CaseNames() []string {
	var names []string
	for _, c := range allCases() {
		names = append(names, c.name)
	}
	return names
}
