package handover

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"mortise/plugins/customers/site"
)

// records are the queries about records. Those that take a tx are for a transaction of the caller.
type records struct{ db *gorm.DB }

// filter says which records are wanted. Empty fields leave nothing out.
type filter struct {
	State     string
	Job       string
	Workspace int64
	Product   string // Particle's number
	Once      string // of the form that made them
	Text      string // part of an id, a name or a serial number
	Assigned  int64  // whose job it is; nobodysJob for those without an installer
	Only      int64  // whose jobs the visitor may see; 0 for all
	IDs       []int64
}

const nobodysJob = -1

func (f *filter) on(q *gorm.DB) *gorm.DB {
	for _, c := range []struct {
		wanted bool
		where  string
		value  any
	}{
		{f.State != "", "state = ?", f.State},
		{f.Job != "", "job = ?", f.Job},
		{f.Workspace != 0, "workspace_id = ?", f.Workspace},
		{f.Product != "", "product_id = ?", f.Product},
		{f.Once != "", "once = ?", f.Once},
		{f.Assigned > 0, "assigned_to = ?", f.Assigned},
		{f.Assigned == nobodysJob, "assigned_to = ?", 0},
		{f.Only != 0, "assigned_to = ?", f.Only},
		{f.IDs != nil, "id IN ?", f.IDs},
	} {
		if c.wanted {
			q = q.Where(c.where, c.value)
		}
	}
	if f.Text != "" {
		text := site.Like(f.Text)
		q = q.Where(`(device_id LIKE ? ESCAPE '\' OR name LIKE ? ESCAPE '\' OR serial LIKE ? ESCAPE '\')`, text, text, text)
	}
	return q
}

// list gives a page of records, the newest first, and counts all that fit by state.
func (s *records) list(ctx context.Context, f filter, page, size int) (list []record, counts map[string]int64, total int64, err error) {
	every := f
	every.State = ""
	var rows []struct {
		State string
		N     int64
	}
	if err := every.on(s.db.WithContext(ctx).Model(&record{})).Select("state, count(*) AS n").Group("state").Find(&rows).Error; err != nil {
		return nil, nil, 0, err
	}
	counts = make(map[string]int64, len(rows))
	for _, r := range rows {
		counts[r.State] = r.N
		if f.State == "" || f.State == r.State {
			total += r.N
		}
	}
	err = f.on(s.db.WithContext(ctx)).Order("id DESC").Limit(size).Offset((page - 1) * size).Find(&list).Error
	return list, counts, total, err
}

// first gives up to n records, the oldest first.
func (s *records) first(ctx context.Context, f filter, n, offset int) (list []record, err error) {
	return list, f.on(s.db.WithContext(ctx)).Order("id").Limit(n).Offset(offset).Find(&list).Error
}

// one finds a record. only is whose jobs the visitor may see, 0 for all. site.ErrNotFound otherwise.
func (s *records) one(ctx context.Context, id, only int64) (*record, error) {
	var r record
	f := filter{Only: only, IDs: []int64{id}}
	return found(&r, f.on(s.db.WithContext(ctx)).Take(&r).Error)
}

// ofDevice finds the record of a device, or site.ErrNotFound.
func (s *records) ofDevice(tx *gorm.DB, deviceID string) (*record, error) {
	var r record
	return found(&r, tx.Where("device_id = ?", deviceID).Take(&r).Error)
}

// ofDevices finds the records of up to 500 devices.
func (s *records) ofDevices(tx *gorm.DB, deviceIDs []string) (list []record, err error) {
	return list, tx.Where("device_id IN ?", deviceIDs).Find(&list).Error
}

func found[T any](row *T, err error) (*T, error) {
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, site.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return row, nil
}

// choices are the jobs and products of the records that a visitor may see, for the fields of the list.
func (s *records) choices(ctx context.Context, only int64) (jobs []string, products []record, err error) {
	f := filter{Only: only}
	q := f.on(s.db.WithContext(ctx).Model(&record{}))
	if err := q.Session(&gorm.Session{}).Where("job <> ''").Group("job").Order("max(id) DESC").Limit(200).Pluck("job", &jobs).Error; err != nil {
		return nil, nil, err
	}
	err = q.Session(&gorm.Session{}).Select("workspace_id, product_id, max(product) AS product").Group("workspace_id, product_id").Order("product").Limit(200).Find(&products).Error
	return jobs, products, err
}

// add writes new records; their numbers are filled in.
func (s *records) add(tx *gorm.DB, list []record) error { return tx.CreateInBatches(list, 200).Error }

// set changes columns of a record, if it still has the version that the caller has seen. ok is false when it has not.
func (s *records) set(tx *gorm.DB, r *record, columns map[string]any) (ok bool, err error) {
	columns["version"] = gorm.Expr("version + 1")
	done := tx.Model(&record{}).Where("id = ? AND version = ?", r.ID, r.Version).Updates(columns)
	return done.RowsAffected == 1, done.Error
}

// delete deletes a record with its keys.
func (s *records) delete(tx *gorm.DB, r *record, now time.Time) (ok bool, err error) {
	done := tx.Where("id = ? AND version = ?", r.ID, r.Version).Delete(&record{})
	if done.Error != nil || done.RowsAffected == 0 {
		return false, done.Error
	}
	// Those whose sealed copy may still be there stay, ended, until it is erased.
	if err := tx.Where("record_id = ? AND NOT sealed", r.ID).Delete(&keyRow{}).Error; err != nil {
		return false, err
	}
	return true, s.endKeys(tx, []int64{r.ID}, keyRevoked, now)
}

// readied turns records into ready ones whose key is in force now.
func (s *records) readied(tx *gorm.DB, ids []int64) error {
	return tx.Model(&record{}).Where("id IN ?", ids).Updates(map[string]any{"state": stateReady, "user_id": 0, "claimed_at": nil, "version": gorm.Expr("version + 1")}).Error
}

// leave takes a person out of the records: the device of a customer who is gone is nobody's, and its job and note may tell of them;
// the jobs of an installer who is gone are nobody's too.
func (s *records) leave(tx *gorm.DB, userID int64) error {
	err := tx.Model(&record{}).Where("user_id = ?", userID).
		Updates(map[string]any{"user_id": 0, "claimed_at": nil, "state": stateBench, "job": "", "note": "", "version": gorm.Expr("version + 1")}).Error
	if err == nil {
		err = tx.Model(&record{}).Where("assigned_to = ?", userID).Updates(map[string]any{"assigned_to": 0, "version": gorm.Expr("version + 1")}).Error
	}
	if err == nil {
		err = tx.Where("user_id = ?", userID).Delete(&try{}).Error
	}
	if err == nil {
		err = tx.Where("user_id = ?", userID).Delete(&installer{}).Error
	}
	return err
}

// seen notes that an installer was here.
func (s *records) seen(ctx context.Context, userID int64, now time.Time) error {
	row := installer{UserID: userID, SeenAt: now}
	return s.db.WithContext(ctx).Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "user_id"}}, DoUpdates: clause.AssignmentColumns([]string{"seen_at"}),
		Where: clause.Where{Exprs: []clause.Expression{clause.Expr{SQL: "customers_installers.seen_at < ?", Vars: []any{now.Add(-time.Hour)}}}}}).Create(&row).Error
}

// installers lists those who were here last, up to 200.
func (s *records) installers(ctx context.Context) (ids []int64, err error) {
	return ids, s.db.WithContext(ctx).Model(&installer{}).Order("seen_at DESC").Limit(200).Pluck("user_id", &ids).Error
}

// moveProduct gives the records of a product another workspace.
func (s *records) moveProduct(tx *gorm.DB, from, to int64, productID string) error {
	return tx.Model(&record{}).Where("workspace_id = ? AND product_id = ?", from, productID).Updates(map[string]any{"workspace_id": to, "version": gorm.Expr("version + 1")}).Error
}

// atBench gives those of the records that still have no key that works.
func (s *records) atBench(tx *gorm.DB, ids []int64) (still []int64, err error) {
	return still, tx.Model(&record{}).Where("id IN ? AND state = ?", ids, stateBench).Pluck("id", &still).Error
}
