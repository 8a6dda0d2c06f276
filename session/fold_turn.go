package session

// turnEvent moves the turn before it changes anything else: an ended turn is shared with [Session.Preview]'s caller.
func (s *Session) turnEvent(rec Record, b Batch, t *Turn, e Event) error {
	switch {
	case e.Type == TurnWaiting && e.Waiting != nil && e.Waiting.Until > 0: // no turn waits for ever
		if err := s.move(rec, t, onWait); err != nil {
			return err
		}
		t.Wait = e.Waiting
		return nil
	case e.Type == TurnSignaled && e.Signal != nil:
		return s.signal(rec, b, t, e)
	}
	return s.corrupt(rec, "has %s without its content", e.Type)
}

func (s *Session) signal(rec Record, b Batch, t *Turn, e Event) error {
	sig, on := e.Signal, onSignal
	waits := t.State == Waiting && t.Wait != nil
	switch sig.Kind {
	case SignalRelease:
		on = onResume
	case SignalApprove, SignalDeny:
		if !waits || t.Wait.ask(e.Step) == nil || t.Wait.ask(e.Step).Digest != sig.Digest {
			return s.corrupt(rec, "decides about step %q of turn %s, which does not ask that", e.Step, t.Ref)
		}
		if len(t.Wait.Asks) == 1 {
			on = onResume
		}
	case SignalWake:
		if !waits || t.Wait.Reason != WaitTimer || t.Wait.Step != e.Step {
			return s.corrupt(rec, "wakes turn %s, which does not sleep", t.Ref)
		}
		on = onResume
	case SignalMessage:
		if len(sig.Input) == 0 {
			return s.corrupt(rec, "has a message without content for turn %s", t.Ref)
		}
	}
	if err := s.move(rec, t, on); err != nil {
		return err
	}
	switch sig.Kind {
	case SignalRelease:
		t.Wait, t.Recoveries = nil, 0
	case SignalCancel:
		t.Cancel = sig
	case SignalApprove, SignalDeny:
		t.step(e.Step).Word = sig
		t.Wait = t.Wait.without(e.Step)
	case SignalWake:
		t.step(e.Step).Word = sig
		t.Wait = nil
	case SignalMessage:
		t.Messages = append(t.Messages, Message{Input: sig.Input, At: b.At})
		if !s.preview {
			s.remember(KeyUse{Key: sig.Key, Turn: t.ID, Digest: sig.Digest, Until: sig.KeyUntil}, b.At)
		}
	}
	return nil
}

// ask is the question about that step, nil when there is none.
func (w *Wait) ask(step string) *Ask {
	for i := range w.Asks {
		if w.Asks[i].Step == step {
			return &w.Asks[i]
		}
	}
	return nil
}

// without is the wait once the question about that step is decided; nil when it was the last one. The old one is left as
// it is: events and previews share it.
func (w *Wait) without(step string) *Wait {
	left := *w
	left.Asks, left.Until = nil, 0
	for _, a := range w.Asks {
		if a.Step == step {
			continue
		}
		left.Asks = append(left.Asks, a)
		if left.Until == 0 || a.Until < left.Until {
			left.Until = a.Until
		}
	}
	if len(left.Asks) == 0 {
		return nil
	}
	return &left
}

func (s *Session) end(rec Record, b Batch, t *Turn, e Event) error {
	if e.Type == TurnCompleted && e.Reply == nil || e.Type == TurnFailed && e.Failure == nil {
		return s.corrupt(rec, "has %s without its content", e.Type)
	}
	if e.Type == TurnCompleted && (t.Cancel != nil || t.Heard < len(t.Messages)) {
		return s.corrupt(rec, "completes turn %s behind a cancel or a message that nobody read", t.Ref)
	}
	if err := s.move(rec, t, Trigger(e.Type)); err != nil {
		return err
	}
	t.Reply, t.Failure, t.Wait = e.Reply, e.Failure, nil
	t.EndedAt, t.EndSeq = b.At, rec.Seq
	if s.preview {
		s.left = append(s.left, t)
	} else {
		s.conclude(t)
	}
	for i, o := range s.Open {
		if o == t {
			s.Open = append(s.Open[:i:i], s.Open[i+1:]...)
			break
		}
	}
	return nil
}

// conclude takes over from a turn that has ended what outlives it: only a completed one changes the session's state and
// whose turn it is to answer; a summary that was paid for counts in any case.
func (s *Session) conclude(t *Turn) {
	if t.State == Completed {
		s.merge(t)
		if t.Agent != "" {
			s.Agent = t.Agent
		} else if t.Request.Agent != s.Agent {
			s.Agent = ""
		}
	}
	for _, st := range t.Steps {
		if st.Result == nil || st.Result.Summary == nil || st.Result.Summary.Through.Seq <= s.Cleared {
			continue
		}
		if sum := st.Result.Summary; s.Summary == nil || s.Summary.Through.Less(sum.Through) {
			s.shorten(sum)
		}
	}
}

// shorten drops the turns that a summary covers.
func (s *Session) shorten(sum *Summary) {
	n := 0
	for ; n < len(s.Turns) && !sum.Through.Less(s.Turns[n].Ref); n++ {
		delete(s.byRef, s.Turns[n].Ref)
	}
	s.Turns = append([]*Turn(nil), s.Turns[n:]...)
	s.Summary = sum
	s.Folds++
}
