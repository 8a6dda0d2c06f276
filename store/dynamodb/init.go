package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// initTime bounds how long Init waits for the service. An index of a large table takes that long.
const initTime = 30 * time.Minute

// Init makes the table, or adds to one with the right keys what is missing: the index and native TTL. Billing, capacity
// and recovery of a table that is there are left alone. It waits until the table can be used. See session.Initializer.
func (s *Store) Init(ctx context.Context) ([]string, error) {
	const op = "dynamodb.Init"
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return nil, writeErr(op, refused(fault.Unavailable, errClosed))
	}
	ctx, cancel := context.WithTimeout(ctx, initTime)
	defer cancel()
	stop := context.AfterFunc(s.ctx, cancel)
	defer stop()
	did, err := s.makeReady(ctx)
	if err != nil {
		f := asFailure(err)
		return did, &fault.Error{Op: op, Kind: f.kind, Msg: f.msg, Try: f.try, Err: f.err}
	}
	return did, nil
}

func (s *Store) makeReady(ctx context.Context) (did []string, err error) {
	table, err := s.describe(ctx)
	made := false
	switch {
	case err != nil:
		return nil, err
	case table == nil:
		made, err = s.create(ctx)
		if made {
			did = append(did, fmt.Sprintf("Made table %s with on-demand billing and the index %s.", s.table, dueIndex))
		}
	default:
		if err := checkKeys(s.table, table); err != nil {
			return nil, err
		}
		if index(table) == nil {
			did = append(did, fmt.Sprintf("Added the index %s to table %s.", dueIndex, s.table))
			err = s.addIndex(ctx, table)
		}
	}
	if err != nil {
		return nil, err
	}
	if err := s.active(ctx); err != nil {
		return did, err
	}
	more, err := s.expire(ctx)
	did = append(did, more...)
	if err != nil {
		return did, err
	}
	if made {
		more, err := s.recovery(ctx)
		did = append(did, more...)
		if err != nil {
			return did, err
		}
	}
	more, err = s.found(ctx)
	return append(did, more...), err
}

// describe is nil for a table that is not there.
func (s *Store) describe(ctx context.Context) (*types.TableDescription, error) {
	out, err := call(ctx, s, always, (*dynamodb.Client).DescribeTable, &dynamodb.DescribeTableInput{TableName: &s.table})
	if err != nil {
		if asFailure(err).code == "ResourceNotFoundException" {
			return nil, nil
		}
		return nil, err
	}
	return out.Table, nil
}

func attributes(more ...types.AttributeDefinition) []types.AttributeDefinition {
	return append([]types.AttributeDefinition{
		{AttributeName: aws.String(agendaName), AttributeType: types.ScalarAttributeTypeS},
		{AttributeName: aws.String(dueName), AttributeType: types.ScalarAttributeTypeN},
	}, more...)
}

func keys(hash, sort string) []types.KeySchemaElement {
	return []types.KeySchemaElement{
		{AttributeName: aws.String(hash), KeyType: types.KeyTypeHash},
		{AttributeName: aws.String(sort), KeyType: types.KeyTypeRange},
	}
}

var keysOnly = &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly}

// create reports false when another process was faster.
func (s *Store) create(ctx context.Context) (bool, error) {
	_, err := call(ctx, s, ifRefused, (*dynamodb.Client).CreateTable, &dynamodb.CreateTableInput{
		TableName: &s.table, BillingMode: types.BillingModePayPerRequest,
		KeySchema: keys(partitionName, sortName),
		AttributeDefinitions: attributes(
			types.AttributeDefinition{AttributeName: aws.String(partitionName), AttributeType: types.ScalarAttributeTypeS},
			types.AttributeDefinition{AttributeName: aws.String(sortName), AttributeType: types.ScalarAttributeTypeS}),
		GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{{
			IndexName: aws.String(dueIndex), KeySchema: keys(agendaName, dueName), Projection: keysOnly,
		}},
	})
	if err != nil && asFailure(err).code == "ResourceInUseException" {
		return false, nil
	}
	return err == nil, err
}

// checkKeys is an error for a table that is something else.
func checkKeys(name string, t *types.TableDescription) error {
	kinds := map[string]types.ScalarAttributeType{}
	for _, a := range t.AttributeDefinitions {
		kinds[aws.ToString(a.AttributeName)] = a.AttributeType
	}
	ok := len(t.KeySchema) == 2
	for i, k := range keys(partitionName, sortName) {
		ok = ok && *t.KeySchema[i].AttributeName == *k.AttributeName && t.KeySchema[i].KeyType == k.KeyType && kinds[*k.AttributeName] == types.ScalarAttributeTypeS
	}
	if !ok {
		return &failure{
			unsent: true, kind: fault.Config, msg: fmt.Sprintf("table %s has other keys than %s and %s, both strings", name, partitionName, sortName),
			try: "use another table",
		}
	}
	return nil
}

// index is nil when there is none.
func index(t *types.TableDescription) *types.GlobalSecondaryIndexDescription {
	for i, g := range t.GlobalSecondaryIndexes {
		if aws.ToString(g.IndexName) == dueIndex {
			return &t.GlobalSecondaryIndexes[i]
		}
	}
	return nil
}

func (s *Store) addIndex(ctx context.Context, t *types.TableDescription) error {
	create := &types.CreateGlobalSecondaryIndexAction{
		IndexName: aws.String(dueIndex), KeySchema: keys(agendaName, dueName), Projection: keysOnly,
	}
	if !onDemand(t) && t.ProvisionedThroughput != nil {
		create.ProvisionedThroughput = &types.ProvisionedThroughput{
			ReadCapacityUnits: t.ProvisionedThroughput.ReadCapacityUnits, WriteCapacityUnits: t.ProvisionedThroughput.WriteCapacityUnits,
		}
	}
	_, err := call(ctx, s, ifRefused, (*dynamodb.Client).UpdateTable, &dynamodb.UpdateTableInput{
		TableName: &s.table, AttributeDefinitions: attributes(),
		GlobalSecondaryIndexUpdates: []types.GlobalSecondaryIndexUpdate{{Create: create}},
	})
	if err != nil && asFailure(err).code == "ResourceInUseException" {
		return nil // another process does it, or the wait below tells
	}
	return err
}

func onDemand(t *types.TableDescription) bool {
	return t.BillingModeSummary != nil && t.BillingModeSummary.BillingMode == types.BillingModePayPerRequest
}

// active waits until table and index can be used.
func (s *Store) active(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for missing := 0; ; {
		t, err := s.describe(ctx)
		if err != nil {
			return err
		}
		if t != nil && t.TableStatus == types.TableStatusActive {
			i := index(t)
			if i != nil && (i.IndexStatus == types.IndexStatusActive || i.IndexStatus == "") {
				return nil
			}
			if missing++; i == nil && missing > 3 {
				return &failure{unsent: true, kind: fault.Unsupported, msg: "the server took the request for the index " + dueIndex + " and did not make it", try: "make a new table"}
			}
		}
		select {
		case <-ctx.Done():
			return &failure{kind: fault.TimeoutTotal, msg: "table " + s.table + " is not ready yet", try: "run it again: it goes on", err: ctx.Err()}
		case <-tick.C:
		}
	}
}

// expire turns native TTL on, where nobody did.
func (s *Store) expire(ctx context.Context) ([]string, error) {
	attribute, on, err := s.ttl(ctx)
	if err == nil && on {
		if attribute != ttlName {
			return []string{fmt.Sprintf("Left native TTL alone: it is on for %s, not for %s.", attribute, ttlName)}, nil
		}
		return nil, nil
	}
	if err == nil {
		_, err = call(ctx, s, ifRefused, (*dynamodb.Client).UpdateTimeToLive, &dynamodb.UpdateTimeToLiveInput{
			TableName: &s.table, TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String(ttlName), Enabled: aws.Bool(true)},
		})
	}
	if err != nil && asFailure(err).kind == fault.Unsupported {
		return []string{"Native TTL is not supported by this server: tombstones and hints that are over stay."}, nil
	}
	if err != nil {
		return nil, err
	}
	return []string{"Turned native TTL on, for " + ttlName + "."}, nil
}

func (s *Store) ttl(ctx context.Context) (attribute string, on bool, err error) {
	out, err := call(ctx, s, always, (*dynamodb.Client).DescribeTimeToLive, &dynamodb.DescribeTimeToLiveInput{TableName: &s.table})
	if err != nil {
		return "", false, err
	}
	d := out.TimeToLiveDescription
	if d == nil {
		return "", false, nil
	}
	on = d.TimeToLiveStatus == types.TimeToLiveStatusEnabled || d.TimeToLiveStatus == types.TimeToLiveStatusEnabling
	return aws.ToString(d.AttributeName), on, nil
}

// recovery turns point-in-time recovery on, for a table that was just made. The service needs a moment before it can.
func (s *Store) recovery(ctx context.Context) ([]string, error) {
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		_, err := call(ctx, s, ifRefused, (*dynamodb.Client).UpdateContinuousBackups, &dynamodb.UpdateContinuousBackupsInput{
			TableName: &s.table, PointInTimeRecoverySpecification: &types.PointInTimeRecoverySpecification{PointInTimeRecoveryEnabled: aws.Bool(true)},
		})
		switch {
		case err == nil:
			return []string{"Turned point-in-time recovery on."}, nil
		case asFailure(err).kind == fault.Unsupported:
			return []string{"Point-in-time recovery is not supported by this server."}, nil
		case asFailure(err).code != "ContinuousBackupsUnavailableException":
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, refused(fault.TimeoutTotal, ctx.Err())
		case <-tick.C:
		}
	}
}

// found writes what is fixed from now on.
func (s *Store) found(ctx context.Context) ([]string, error) {
	i := at(metaKey, metaKey)
	i[formatAttr], i[generationAttr], i[bucketsAttr] = num(session.StoreFormat), num(1), num(agendas)
	c := newChange()
	c.iff("attribute_not_exists(" + c.name(sortName) + ")")
	_, err := call(ctx, s, ifRefused, (*dynamodb.Client).PutItem, &dynamodb.PutItemInput{
		TableName: &s.table, Item: i, ConditionExpression: &c.condition, ExpressionAttributeNames: c.names,
	})
	if err == nil {
		return []string{fmt.Sprintf("Wrote the store's format, %d.", session.StoreFormat)}, nil
	}
	var f *failure
	if !errors.As(err, &f) || !f.conflict {
		return nil, err
	}
	m, err := s.meta(ctx)
	if err != nil {
		return nil, err
	}
	return nil, m.Check(session.Meta{Format: session.StoreFormat, Buckets: agendas})
}
