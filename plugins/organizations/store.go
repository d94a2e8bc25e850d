package main

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"gorm.io/gorm"

	"mortise/core/fault"
)

// records holds every query of the module. No call to the host, and none to Particle, is made inside a transaction: the
// host's own writes wait for the same writer.
type records struct {
	db  *gorm.DB
	now func() time.Time
}

const (
	maxWorkspaces    = 100
	maxOrganizations = 100
)

func (s *records) workspaces(ctx context.Context) ([]workspace, error) {
	var list []workspace
	err := s.db.WithContext(ctx).Order("name").Limit(maxWorkspaces).Find(&list).Error
	return list, err
}

// workspace finds one. NotFound when there is none.
func (s *records) workspace(ctx context.Context, id int64) (*workspace, error) {
	var w workspace
	err := s.db.WithContext(ctx).Where("id = ?", id).Take(&w).Error
	return found(&w, err, "There is no such workspace.")
}

// create adds a workspace. Conflict when the name is taken or there are too many.
func (s *records) create(ctx context.Context, w *workspace) error {
	var n int64
	if err := s.db.WithContext(ctx).Model(&workspace{}).Count(&n).Error; err != nil {
		return err
	}
	if n >= maxWorkspaces {
		return fault.New(fault.Conflict, "There are %d workspaces already; remove one first.", n)
	}
	return nameTaken(s.db.WithContext(ctx).Create(w).Error)
}

func nameTaken(err error) error {
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return fault.InvalidFields("The name is taken.", map[string]string{"name": "another workspace has this name"})
	}
	return err
}

// change writes fields of a workspace that still has the version the person saw. Conflict when it does not.
func (s *records) change(ctx context.Context, id, version int64, fields map[string]any) error {
	fields["version"] = version + 1
	res := s.db.WithContext(ctx).Model(&workspace{}).Where("id = ? AND version = ?", id, version).Updates(fields)
	if res.Error != nil {
		return nameTaken(res.Error)
	}
	if res.RowsAffected == 0 {
		return fault.New(fault.Conflict, "Somebody else has changed this workspace meanwhile. Look at it again before you change it.")
	}
	return nil
}

// note writes what a test has found; it does not count as a change by a person.
func (s *records) note(ctx context.Context, id int64, fields map[string]any) error {
	return s.db.WithContext(ctx).Model(&workspace{}).Where("id = ?", id).Updates(fields).Error
}

// remove takes a workspace away with what is known of its products. Operations stay: they are the history.
func (s *records) remove(ctx context.Context, id int64) error {
	return s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := tx.Where("workspace_id = ?", id).Delete(&product{}).Error; err != nil {
			return err
		}
		if err := dropOf(tx, id); err != nil {
			return err
		}
		return tx.Where("id = ?", id).Delete(&workspace{}).Error
	})
}

// everyProduct lists the products of a workspace, the most recently made last.
func (s *records) everyProduct(ctx context.Context, workspaceID int64) ([]product, error) {
	var list []product
	err := s.db.WithContext(ctx).Where("workspace_id = ?", workspaceID).Order("name, product_id").Limit(maxProducts).Find(&list).Error
	return list, err
}

// products lists a page of them, and says how many there are.
func (s *records) products(ctx context.Context, workspaceID int64, query string, page, size int) ([]product, int64, error) {
	q := s.db.WithContext(ctx).Model(&product{}).Where("workspace_id = ?", workspaceID)
	if query != "" {
		q = q.Where("name LIKE ? ESCAPE '!' OR slug LIKE ? ESCAPE '!' OR product_id LIKE ? ESCAPE '!' OR organization LIKE ? ESCAPE '!'",
			like(query), like(query), like(query), like(query))
	}
	var total int64
	if err := q.Count(&total).Error; err != nil {
		return nil, 0, err
	}
	var list []product
	err := q.Order("name, product_id").Offset((page - 1) * size).Limit(size).Find(&list).Error
	return list, total, err
}

// product finds one by Particle's number. NotFound when the workspace has none such.
func (s *records) product(ctx context.Context, workspaceID int64, number string) (*product, error) {
	var p product
	err := s.db.WithContext(ctx).Where("workspace_id = ? AND product_id = ?", workspaceID, number).Take(&p).Error
	return found(&p, err, "The workspace has no such product.")
}

// servedProducts lists the products of all workspaces, at most n of them.
func (s *records) servedProducts(ctx context.Context, n int) ([]product, error) {
	var list []product
	err := s.db.WithContext(ctx).Order("workspace_id, name, product_id").Limit(n).Find(&list).Error
	return list, err
}

// countProducts tells how many products each workspace has.
func (s *records) countProducts(ctx context.Context) (map[int64]int, error) {
	var rows []struct {
		WorkspaceID int64
		N           int
	}
	if err := s.db.WithContext(ctx).Model(&product{}).Select("workspace_id, count(*) AS n").Group("workspace_id").Scan(&rows).Error; err != nil {
		return nil, err
	}
	counts := map[int64]int{}
	for _, r := range rows {
		counts[r.WorkspaceID] = r.N
	}
	return counts, nil
}

// replaceProducts takes whole lists in place of those before.
func (s *records) replaceProducts(ctx context.Context, workspaceID int64, list []product, orgs []organization, defaultProduct string) error {
	return s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := tx.Where("workspace_id = ?", workspaceID).Delete(&product{}).Error; err != nil {
			return err
		}
		if len(list) > 0 {
			if err := tx.CreateInBatches(list, 50).Error; err != nil {
				return err
			}
		}
		if err := replaceOrganizations(tx, workspaceID, orgs); err != nil {
			return err
		}
		return tx.Model(&workspace{}).Where("id = ?", workspaceID).
			Updates(map[string]any{"products_at": s.now(), "default_product": defaultProduct}).Error
	})
}

// operations lists a page of them, the newest first. workspaceID 0 and state "" mean all.
func (s *records) operations(ctx context.Context, workspaceID int64, state, query string, page, size int) ([]operation, int64, error) {
	q := s.db.WithContext(ctx).Model(&operation{})
	if workspaceID != 0 {
		q = q.Where("workspace_id = ?", workspaceID)
	}
	if state != "" {
		q = q.Where("state = ?", state)
	}
	if query != "" {
		q = q.Where("name LIKE ? ESCAPE '!' OR subject LIKE ? ESCAPE '!' OR user_name LIKE ? ESCAPE '!' OR workspace LIKE ? ESCAPE '!'",
			like(query), like(query), like(query), like(query))
	}
	var total int64
	if err := q.Count(&total).Error; err != nil {
		return nil, 0, err
	}
	var list []operation
	err := q.Order("id DESC").Offset((page - 1) * size).Limit(size).Find(&list).Error
	return list, total, err
}

// operation finds one. NotFound when there is none.
func (s *records) operation(ctx context.Context, id int64) (*operation, error) {
	var op operation
	err := s.db.WithContext(ctx).Where("id = ?", id).Take(&op).Error
	return found(&op, err, "There is no such operation.")
}

// operationOf finds the operation that a form has led to already; nil when there is none.
func (s *records) operationOf(ctx context.Context, once string) (*operation, error) {
	var op operation
	err := s.db.WithContext(ctx).Where("once = ?", once).Take(&op).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, nil
	}
	return &op, err
}

// open lists operations that are not ended and may be looked at now.
func (s *records) open(ctx context.Context) ([]operation, error) {
	var list []operation
	err := s.db.WithContext(ctx).Where("state = ? AND next_at <= ?", opRunning, s.now()).Order("id").Limit(100).Find(&list).Error
	return list, err
}

// withSecret lists operations whose secret is still kept.
func (s *records) withSecret(ctx context.Context) ([]operation, error) {
	var list []operation
	err := s.db.WithContext(ctx).Where("secret_until IS NOT NULL").Limit(500).Find(&list).Error
	return list, err
}

// saveOperation writes an operation. Who began it is written once: the person may have been forgotten since.
func (s *records) saveOperation(ctx context.Context, op *operation) error {
	if op.ID == 0 {
		return s.db.WithContext(ctx).Create(op).Error
	}
	return s.db.WithContext(ctx).Model(&operation{}).Where("id = ?", op.ID).Select("*").Omit("id", "once", "user_id", "user_name").Updates(op).Error
}

// forgetPerson takes somebody's name off what they have done.
func (s *records) forgetPerson(ctx context.Context, userID int64) error {
	return s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		for _, table := range []any{&operation{}, &deviceImport{}} {
			if err := tx.Model(table).Where("user_id = ?", userID).Updates(map[string]any{"user_id": 0, "user_name": "a former colleague"}).Error; err != nil {
				return err
			}
		}
		return nil
	})
}

// countOperations counts those in a state.
func (s *records) countOperations(ctx context.Context, state string) (int64, error) {
	var n int64
	err := s.db.WithContext(ctx).Model(&operation{}).Where("state = ?", state).Count(&n).Error
	return n, err
}

// made gives the subjects of what other operations of these kinds have made.
func (s *records) made(ctx context.Context, workspaceID int64, kinds ...string) (map[string]bool, error) {
	var ids []string
	err := s.db.WithContext(ctx).Model(&operation{}).
		Where("workspace_id = ? AND kind IN ? AND state = ? AND subject <> ''", workspaceID, kinds, opDone).Pluck("subject", &ids).Error
	made := map[string]bool{}
	for _, id := range ids {
		made[id] = true
	}
	return made, err
}

// forget removes ended operations that are older than age.
func (s *records) forget(ctx context.Context, age time.Duration) error {
	return s.db.WithContext(ctx).Where("state <> ? AND secret_until IS NULL AND started_at < ?", opRunning, s.now().Add(-age)).Delete(&operation{}).Error
}

func found[T any](row *T, err error, message string) (*T, error) {
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, fault.New(fault.NotFound, "%s", message)
	}
	if err != nil {
		return nil, err
	}
	return row, nil
}

// like escapes what a person typed for use inside LIKE with the escape character "!".
func like(text string) string {
	return "%" + strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(text) + "%"
}

// keyOf is the key of a row's secret.
func keyOf(id int64) string { return strconv.FormatInt(id, 10) }
