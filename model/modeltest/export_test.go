package modeltest

import "fmt"

// Violations runs the named cases, or all if only is nil, and returns what Run would report, by the name of the case.
func Violations(h Harness, only map[string]string) map[string][]string {
	all := map[string][]string{}
	wire, err := wireOf(h.Format)
	if err != nil {
		panic(err)
	}
	for _, c := range allCases(wire) {
		if _, ok := only[c.name]; !ok && only != nil {
			continue
		}
		p := &probe{h: h, wire: wire}
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

// Formats are the formats that are spoken.
func Formats() []Format {
	var all []Format
	for _, w := range wires {
		all = append(all, w.format())
	}
	return all
}

// CaseNames are the names of all cases of a format.
func CaseNames(f Format) []string {
	wire, err := wireOf(f)
	if err != nil {
		panic(err)
	}
	var names []string
	for _, c := range allCases(wire) {
		names = append(names, c.name)
	}
	return names
}
