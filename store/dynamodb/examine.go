package dynamodb

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// Examine judges the table; see session.Examiner.
func (s *Store) Examine(ctx context.Context) ([]session.Finding, error) {
	const op = "dynamodb.Examine"
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return nil, readErr(ctx, op, refused(fault.Unavailable, errClosed))
	}
	t, err := s.describe(ctx)
	if err != nil {
		return nil, readErr(ctx, op, err)
	}
	if t == nil {
		return []session.Finding{{Check: "table", Severity: session.FindingFail, Text: "there is no table " + s.table + " in this region and account", Try: initTry}}, nil
	}
	out := []session.Finding{s.status(t), schema(s.table, t), indexed(t), s.metaFinding(ctx), s.ttlFinding(ctx), s.recoveryFinding(ctx)}
	return append(out, protection(t), billing(t)), nil
}

func good(check, text string) session.Finding {
	return session.Finding{Check: check, Severity: session.FindingOK, Text: text}
}

func (s *Store) status(t *types.TableDescription) session.Finding {
	if t.TableStatus == types.TableStatusActive || t.TableStatus == types.TableStatusUpdating {
		return good("table", fmt.Sprintf("table %s is %s", s.table, t.TableStatus))
	}
	return session.Finding{Check: "table", Severity: session.FindingFail, Text: fmt.Sprintf("table %s is %s", s.table, t.TableStatus), Try: "wait until it is ACTIVE, or look at it in the AWS console"}
}

func schema(name string, t *types.TableDescription) session.Finding {
	if err := checkKeys(name, t); err != nil {
		return session.Finding{Check: "keys", Severity: session.FindingFail, Text: err.Error(), Try: asFailure(err).try}
	}
	return good("keys", "the table's keys are "+partitionName+" and "+sortName)
}

func indexed(t *types.TableDescription) session.Finding {
	i := index(t)
	switch {
	case i == nil:
		return session.Finding{Check: "index", Severity: session.FindingFail, Text: "the index " + dueIndex + " is missing", Try: initTry}
	case i.IndexStatus != types.IndexStatusActive:
		return session.Finding{Check: "index", Severity: session.FindingFail, Text: fmt.Sprintf("the index %s is %s", dueIndex, i.IndexStatus), Try: "wait until it is ACTIVE"}
	}
	return good("index", "the index "+dueIndex+" is ACTIVE")
}

func (s *Store) metaFinding(ctx context.Context) session.Finding {
	m, err := s.meta(ctx)
	if err == nil {
		err = m.Check(session.Meta{Format: session.StoreFormat, Buckets: agendas})
	}
	if err != nil {
		f := asFailure(err)
		return session.Finding{Check: "format", Severity: session.FindingFail, Text: f.msg, Try: f.try}
	}
	return good("format", fmt.Sprintf("the store has format %d, generation %d", m.Format, m.Generation))
}

// unseen is the finding about what could not be asked for.
func unseen(check string, err error) session.Finding {
	f := asFailure(err)
	if f.kind == fault.Unsupported {
		return session.Finding{Check: check, Severity: session.FindingWarn, Text: "this server does not have it", Try: "use it for tests only"}
	}
	return session.Finding{Check: check, Severity: session.FindingWarn, Text: "it cannot be seen: " + f.msg, Try: f.try}
}

func (s *Store) ttlFinding(ctx context.Context) session.Finding {
	const check = "native TTL"
	attribute, on, err := s.ttl(ctx)
	switch {
	case err != nil:
		return unseen(check, err)
	case !on:
		return session.Finding{Check: check, Severity: session.FindingWarn, Text: "it is off, so tombstones and hints that are over stay", Try: initTry}
	case attribute != ttlName:
		return session.Finding{Check: check, Severity: session.FindingWarn, Text: "it looks at " + attribute + ", so tombstones and hints that are over stay", Try: "turn it on for " + ttlName}
	}
	return good(check, "it is on, for "+ttlName)
}

func (s *Store) recoveryFinding(ctx context.Context) session.Finding {
	const check = "point-in-time recovery"
	out, err := call(ctx, s, always, (*dynamodb.Client).DescribeContinuousBackups, &dynamodb.DescribeContinuousBackupsInput{TableName: &s.table})
	if err != nil {
		return unseen(check, err)
	}
	if d := out.ContinuousBackupsDescription; d != nil && d.PointInTimeRecoveryDescription != nil &&
		d.PointInTimeRecoveryDescription.PointInTimeRecoveryStatus == types.PointInTimeRecoveryStatusEnabled {
		return good(check, "it is on")
	}
	return session.Finding{Check: check, Severity: session.FindingWarn, Text: "it is off, so what an operator deletes is gone", Try: "turn it on for table " + s.table}
}

func protection(t *types.TableDescription) session.Finding {
	if aws.ToBool(t.DeletionProtectionEnabled) {
		return good("deletion protection", "it is on")
	}
	return session.Finding{Check: "deletion protection", Severity: session.FindingWarn, Text: "it is off, so one request can delete the table", Try: "turn it on"}
}

func billing(t *types.TableDescription) session.Finding {
	if onDemand(t) {
		return good("billing", "on demand")
	}
	p := t.ProvisionedThroughput
	if p == nil {
		return good("billing", "not told")
	}
	return session.Finding{
		Check: "billing", Severity: session.FindingOK,
		Text: fmt.Sprintf("provisioned: %d reads and %d writes a second; what is above is refused, and tried again", aws.ToInt64(p.ReadCapacityUnits), aws.ToInt64(p.WriteCapacityUnits)),
	}
}
