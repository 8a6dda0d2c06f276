package proc

import (
	"os/exec"
	"testing"
)

func TestAProcessIsGoneOnlyWhenThatIsCertain(t *testing.T) {
	self := Self()
	if self.Host == "" || self.PID == 0 || self.Start == 0 {
		t.Fatalf("this process is %+v", self)
	}
	child := exec.Command("cat")
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	start, err := started(child.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	id := ID{Host: self.Host, PID: child.Process.Pid, Start: start}
	for what, c := range map[string]struct {
		id   ID
		want bool
	}{
		"itself":                    {self, false},
		"a living child":            {id, false},
		"an earlier process":        {ID{Host: self.Host, PID: id.PID, Start: start - 1}, true},
		"one of another machine":    {ID{Host: "elsewhere", PID: id.PID, Start: start - 1}, false},
		"one that does not say":     {ID{PID: id.PID, Start: start - 1}, false},
		"a number that is not used": {ID{Host: self.Host, PID: 1 << 30, Start: 1}, true},
		"no number":                 {ID{Host: self.Host}, false},
	} {
		if got := Gone(self, c.id); got != c.want {
			t.Errorf("%s: gone is %v", what, got)
		}
	}
	_ = in.Close()
	if err := child.Wait(); err != nil {
		t.Fatal(err)
	}
	if !Gone(self, id) {
		t.Error("a child that ended is not gone")
	}
}
