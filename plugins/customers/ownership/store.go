package ownership

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"mortise/core/fault"
	"mortise/plugins/customers/site"
	"mortise/plugins/internal/attachapi"
)

// records holds every query of the package; those about operations and shadow customers are in the files store_*.go. No call to
// the host, and none to Particle, is made inside a transaction: the host's own writes wait for the same writer.
//
// Lists with customers' names join customers_people, the table of the package people, and read its columns user_id, name and email.
type records struct {
	db  *gorm.DB
	now func() time.Time
}

const (
	queryBatch = 500 // ids in one query
	writeBatch = 200 // rows in one statement
)

// product is what was chosen for a product; the defaults when nothing was.
func (s *records) product(tx *gorm.DB, workspaceID int64, productID string) (productRow, error) {
	row := productRow{WorkspaceID: workspaceID, ProductID: productID, Way: attachapi.Product}
	err := tx.Where("workspace_id = ? AND product_id = ?", workspaceID, productID).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return productRow{WorkspaceID: workspaceID, ProductID: productID, Way: attachapi.Product}, nil
	}
	return row, err
}

func (s *records) products(ctx context.Context) ([]productRow, error) {
	var list []productRow
	err := s.db.WithContext(ctx).Order("name, product_id").Limit(5000).Find(&list).Error
	return list, err
}

// saveProduct writes what was chosen, if nobody else has done so since row was read. fault.Conflict otherwise.
func (s *records) saveProduct(tx *gorm.DB, row *productRow) error {
	was := row.Version
	row.Version++
	if was == 0 {
		err := tx.Create(row).Error
		if errors.Is(err, gorm.ErrDuplicatedKey) {
			return errChanged()
		}
		return err
	}
	res := tx.Model(&productRow{}).Where("workspace_id = ? AND product_id = ? AND version = ?", row.WorkspaceID, row.ProductID, was).Select("*").Omit("id").Updates(row)
	if res.Error == nil && res.RowsAffected == 0 {
		return errChanged()
	}
	return res.Error
}

func errChanged() error {
	return fault.New(fault.Conflict, "Somebody else has changed this meanwhile. Below is what is there now; look at it, and send the form again if you still want it.")
}

// noteClient writes what Particle said against a product's client; it does not count as a change by a person.
func (s *records) noteClient(ctx context.Context, workspaceID int64, productID, problem string) error {
	return s.db.WithContext(ctx).Model(&productRow{}).Where("workspace_id = ? AND product_id = ? AND client_problem <> ?", workspaceID, productID, problem).
		Update("client_problem", problem).Error
}

// ofPerson lists what is attached to a person, the oldest first.
func (s *records) ofPerson(ctx context.Context, userID int64) ([]attachment, error) {
	list := []attachment{}
	err := s.db.WithContext(ctx).Where("user_id = ? AND detached_at IS NULL", userID).Order("attached_at, device_id").Limit(maxOfPerson).Find(&list).Error
	return list, err
}

// attachedTo gives what is attached to a person, the oldest first, as the JSON list of attachapi.Attachment that the service answers. It is
// on the way of each page with the person's devices, which may be thousands: made by the store it costs a fraction of rows that are read one by
// one, each value by itself, and written as JSON then.
func (s *records) attachedTo(ctx context.Context, userID int64) (json.RawMessage, error) {
	var list string
	err := s.db.WithContext(ctx).Raw(`SELECT json_group_array(json_object('device_id', device_id, 'name', name,
			'given', json(CASE WHEN given THEN 'true' ELSE 'false' END), 'workspace_id', workspace_id, 'product_id', product_id,
			'product', product, 'way', way, 'attached_at', replace(attached_at, ' ', 'T')) ORDER BY attached_at, device_id)
		FROM (SELECT * FROM customers_attachments WHERE user_id = ? AND detached_at IS NULL ORDER BY attached_at, device_id LIMIT ?)`, userID, maxOfPerson).Scan(&list).Error
	return json.RawMessage(list), err
}

// ofOthers tells which of at most attachapi.MaxIDs devices are attached to somebody else than a person.
func (s *records) ofOthers(ctx context.Context, userID int64, ids []string) ([]string, error) {
	others := []string{}
	err := s.db.WithContext(ctx).Model(&attachment{}).Where("device_id IN ? AND detached_at IS NULL AND user_id <> ?", ids, userID).Order("device_id").Pluck("device_id", &others).Error
	return others, err
}

// maxOfPerson is the most that is listed of one person: an answer of a service has at most 1 MiB.
const maxOfPerson = 3000

func (s *records) grantsOf(ctx context.Context, userID int64) ([]grant, error) {
	list := []grant{}
	err := s.db.WithContext(ctx).Where("user_id = ?", userID).Order("attached_at, id").Limit(200).Find(&list).Error
	return list, err
}

// device finds a device that is or was attached. NotFound when there is none.
func (s *records) device(ctx context.Context, deviceID string) (*attachment, error) {
	var row attachment
	err := s.db.WithContext(ctx).Where("device_id = ?", deviceID).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, site.ErrNotFound
	}
	return &row, err
}

// devicesIn finds at most queryBatch devices.
func (s *records) devicesIn(tx *gorm.DB, ids []string) ([]attachment, error) {
	var list []attachment
	err := tx.Where("device_id IN ?", ids).Find(&list).Error
	return list, err
}

// saveDevices writes rows in place of those that are there.
func (s *records) saveDevices(tx *gorm.DB, rows []attachment) error {
	return tx.Clauses(clause.OnConflict{UpdateAll: true}).CreateInBatches(rows, writeBatch).Error
}

// countOfPerson counts what a person has: devices, and each whole product as one.
func (s *records) countOfPerson(tx *gorm.DB, userID int64) (int, error) {
	var n int
	err := tx.Raw(`SELECT (SELECT count(*) FROM customers_attachments WHERE user_id = ? AND detached_at IS NULL) +
		(SELECT count(*) FROM customers_grants WHERE user_id = ?)`, userID, userID).Scan(&n).Error
	return n, err
}

// countOthers counts the devices of a product that are attached to others than the person.
func (s *records) countOthers(tx *gorm.DB, userID, workspaceID int64, productID string) (int64, error) {
	var n int64
	err := tx.Model(&attachment{}).Where("workspace_id = ? AND product_id = ? AND detached_at IS NULL AND user_id <> ?", workspaceID, productID, userID).Count(&n).Error
	return n, err
}

// grantedTo tells to whom a whole product is attached; 0 for nobody.
func (s *records) grantedTo(tx *gorm.DB, workspaceID int64, productID string) (int64, error) {
	var users []int64
	err := tx.Model(&grant{}).Where("workspace_id = ? AND product_id = ?", workspaceID, productID).Pluck("user_id", &users).Error
	if err != nil || len(users) == 0 {
		return 0, err
	}
	return users[0], nil
}

func (s *records) saveGrant(tx *gorm.DB, g *grant) error {
	err := tx.Create(g).Error
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return fault.New(fault.Conflict, "The product is attached to another customer already.")
	}
	return err
}

// dropGrant takes a whole product from a person. NotFound when the person does not have it.
func (s *records) dropGrant(tx *gorm.DB, userID, workspaceID int64, productID string) (*grant, error) {
	var g grant
	err := tx.Where("user_id = ? AND workspace_id = ? AND product_id = ?", userID, workspaceID, productID).Take(&g).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, fault.New(fault.NotFound, "The product is not attached to this customer.")
	}
	if err != nil {
		return nil, err
	}
	return &g, tx.Delete(&grant{}, g.ID).Error
}

// usage is how a product's devices are attached.
type usage struct {
	WorkspaceID int64
	ProductID   string
	Product     string
	Devices     int
	People      int
	GrantedTo   int64 // to whom the whole product is attached; 0: nobody
}

// usages counts for every product that has something attached.
func (s *records) usages(ctx context.Context) (map[productKey]usage, error) {
	var rows []usage
	err := s.db.WithContext(ctx).Model(&attachment{}).Where("detached_at IS NULL").Group("workspace_id, product_id").
		Select("workspace_id, product_id, max(product) AS product, count(*) AS devices, count(DISTINCT user_id) AS people").Scan(&rows).Error
	if err != nil {
		return nil, err
	}
	var grants []grant
	if err := s.db.WithContext(ctx).Limit(5000).Find(&grants).Error; err != nil {
		return nil, err
	}
	all := make(map[productKey]usage, len(rows)+len(grants))
	for _, u := range rows {
		all[productKey{u.WorkspaceID, u.ProductID}] = u
	}
	for _, g := range grants {
		key := productKey{g.WorkspaceID, g.ProductID}
		u := all[key]
		u.WorkspaceID, u.ProductID, u.Product, u.GrantedTo = g.WorkspaceID, g.ProductID, g.Product, g.UserID
		all[key] = u
	}
	return all, nil
}

// ofProduct lists the attached devices of a product.
func (s *records) ofProduct(tx *gorm.DB, workspaceID int64, productID string) ([]attachment, error) {
	var list []attachment
	err := tx.Where("workspace_id = ? AND product_id = ? AND detached_at IS NULL", workspaceID, productID).Order("device_id").Find(&list).Error
	return list, err
}

// switchWay gives all attached devices of a product another way.
func (s *records) switchWay(tx *gorm.DB, workspaceID int64, productID string, way Way) error {
	return tx.Model(&attachment{}).Where("workspace_id = ? AND product_id = ? AND detached_at IS NULL", workspaceID, productID).
		Updates(map[string]any{"way": way, "version": gorm.Expr("version + 1")}).Error
}

// listed is an attached device with its customer.
type listed struct {
	Row    attachment `gorm:"embedded"`
	Person string
}

// listFilter says which attached devices are wanted. Zero fields do not matter.
type listFilter struct {
	text        string // part of the device's name or id, or of the customer's name or address
	workspaceID int64
	productID   string
	way         Way
	page, size  int
}

// list lists attached devices, the last attached first, with the names of their customers, and counts them.
func (s *records) list(ctx context.Context, f listFilter) (found []attachment, names map[int64]string, total int64, err error) {
	q := s.db.WithContext(ctx).Table("customers_attachments AS a").Where("a.detached_at IS NULL")
	if f.productID != "" {
		q = q.Where("a.workspace_id = ? AND a.product_id = ?", f.workspaceID, f.productID)
	}
	if f.way != "" {
		q = q.Where("a.way = ?", f.way)
	}
	if f.text != "" {
		like := site.Like(f.text)
		q = q.Where(`(a.name LIKE ? ESCAPE '\' OR a.device_id LIKE ? ESCAPE '\' OR a.user_id IN
			(SELECT user_id FROM customers_people WHERE name LIKE ? ESCAPE '\' OR email LIKE ? ESCAPE '\'))`, like, like, like, like)
	}
	q = q.Session(&gorm.Session{})
	if err := q.Count(&total).Error; err != nil {
		return nil, nil, 0, err
	}
	if err := q.Select("a.*").Order("a.attached_at DESC, a.device_id").Offset((f.page - 1) * f.size).Limit(f.size).Scan(&found).Error; err != nil {
		return nil, nil, 0, err
	}
	users := make([]int64, 0, len(found))
	for i := range found {
		users = append(users, found[i].UserID)
	}
	names, err = s.names(ctx, users)
	return found, names, total, err
}

// holders tells of some devices to whom they are attached, with the customer's name.
func (s *records) holders(ctx context.Context, ids []string) (map[string]listed, error) {
	all := make(map[string]listed, len(ids))
	for part := range slices.Chunk(ids, queryBatch) {
		var rows []listed
		err := s.db.WithContext(ctx).Table("customers_attachments AS a").Where("a.detached_at IS NULL AND a.device_id IN ?", part).
			Joins("LEFT JOIN customers_people p ON p.user_id = a.user_id").Select("a.*, coalesce(p.name, '') AS person").Scan(&rows).Error
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			all[row.Row.DeviceID] = row
		}
	}
	return all, nil
}

// names gives the names of some customers.
func (s *records) names(ctx context.Context, ids []int64) (map[int64]string, error) {
	names := make(map[int64]string, len(ids))
	for part := range slices.Chunk(ids, queryBatch) {
		var rows []struct {
			UserID int64
			Name   string
		}
		if err := s.db.WithContext(ctx).Table("customers_people").Where("user_id IN ?", part).Select("user_id, name").Scan(&rows).Error; err != nil {
			return nil, err
		}
		for _, r := range rows {
			names[r.UserID] = r.Name
		}
	}
	return names, nil
}

// allHere tells whether people are on the list of customers. Whose account was deleted a moment ago is not.
func (s *records) allHere(tx *gorm.DB, ids []int64) (bool, error) {
	for part := range slices.Chunk(ids, queryBatch) {
		var n int64
		if err := tx.Table("customers_people").Where("user_id IN ?", part).Count(&n).Error; err != nil || n != int64(len(part)) {
			return false, err
		}
	}
	return true, nil
}

// counts is countOfPerson for several people; who has nothing is left out.
func (s *records) counts(tx *gorm.DB, users []int64) (map[int64]int, error) {
	counts := make(map[int64]int, len(users))
	for part := range slices.Chunk(users, queryBatch) {
		var rows []struct {
			UserID int64
			N      int
		}
		err := tx.Raw(`SELECT user_id, count(*) AS n FROM (SELECT user_id FROM customers_attachments WHERE user_id IN ? AND detached_at IS NULL
			UNION ALL SELECT user_id FROM customers_grants WHERE user_id IN ?) GROUP BY user_id`, part, part).Scan(&rows).Error
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			counts[r.UserID] = r.N
		}
	}
	return counts, nil
}

// pageOfPerson lists a page of a person's devices, the newest first, and counts them.
func (s *records) pageOfPerson(ctx context.Context, userID int64, page, size int) ([]attachment, int64, error) {
	q := s.db.WithContext(ctx).Model(&attachment{}).Where("user_id = ? AND detached_at IS NULL", userID).Session(&gorm.Session{})
	var total int64
	if err := q.Count(&total).Error; err != nil {
		return nil, 0, err
	}
	list := []attachment{}
	err := q.Order("attached_at DESC, device_id").Offset((page - 1) * size).Limit(size).Find(&list).Error
	return list, total, err
}

// justDetached lists what a person had until after a time and nobody has now, the last first.
func (s *records) justDetached(ctx context.Context, userID int64, since time.Time) ([]attachment, error) {
	list := []attachment{}
	err := s.db.WithContext(ctx).Where("user_id = ? AND detached_at > ?", userID, since).Order("detached_at DESC, device_id").Limit(50).Find(&list).Error
	return list, err
}

// byAddress tells which customers have some addresses.
func (s *records) byAddress(ctx context.Context, addresses []string) (map[string]known, error) {
	var rows []known
	found := make(map[string]known, len(addresses))
	if len(addresses) == 0 {
		return found, nil
	}
	err := s.db.WithContext(ctx).Table("customers_people").Where("lower(email) IN ?", addresses).Select("user_id, name, lower(email) AS email").Scan(&rows).Error
	for _, row := range rows {
		found[row.Email] = row
	}
	return found, err
}

// known is a customer of the site with the address that was looked for.
type known struct {
	UserID int64
	Name   string
	Email  string
}
