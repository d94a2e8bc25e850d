package store_test

import (
	"errors"
	"testing"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"mortise/core/sdk"
	"mortise/core/sdk/sdkdb"
	"mortise/core/tunnel"
)

// The models of a module that uses what GORM has.
type (
	Author struct {
		gorm.Model
		Email    string `gorm:"uniqueIndex;size:100"`
		Name     string `gorm:"index"`
		Articles []Article
	}
	Article struct {
		ID       uint `gorm:"primaryKey;autoIncrement"`
		AuthorID uint
		Title    string
		Score    float64
		Live     bool
		Raw      []byte
		ParentID *uint
		Written  time.Time
		Topics   []Topic `gorm:"many2many:article_topics"`
	}
	Topic struct {
		ID   uint
		Name string `gorm:"unique"`
	}
)

var magazineTables = []string{"magazine_authors", "magazine_articles", "magazine_topics", "magazine_article_topics", "magazine_extras"}

func magazineSteps() []sdk.Migration {
	return []sdk.Migration{
		sdkdb.Migration(1, "create tables", func(tx *gorm.DB) error { return tx.AutoMigrate(&Author{}, &Article{}, &Topic{}) }),
		sdkdb.Migration(2, "change columns", func(tx *gorm.DB) error {
			type Article struct {
				ID    uint
				Title string `gorm:"size:300;not null;default:''"`
				Extra string
			}
			m := tx.Migrator()
			if err := errors.Join(m.AddColumn(&Article{}, "Extra"), m.AlterColumn(&Article{}, "Title")); err != nil {
				return err
			}
			return m.DropColumn(&Article{}, "Extra")
		}),
		sdkdb.Migration(3, "make and drop a table", func(tx *gorm.DB) error {
			type Extra struct{ ID uint }
			return errors.Join(tx.AutoMigrate(&Extra{}), tx.AutoMigrate(&Author{}, &Article{}, &Topic{}), tx.Migrator().DropTable(&Extra{}))
		}),
	}
}

func magazine(t testing.TB) (*site, *gorm.DB) {
	t.Helper()
	s := openTunnel(t, openStore(t), "magazine", magazineTables)
	ran, err := tunnel.Migrate(t.Context(), tunnel.Options{Socket: s.socket, Bearer: migrateBearer}, nil, magazineSteps())
	if err != nil || len(ran) != 3 {
		t.Fatalf("ran %v: %v", ran, err)
	}
	return s, s.gorm(t, "magazine")
}

func TestTunnel_CarriesWhatGORMDoesWithoutADenial(t *testing.T) {
	t.Parallel()
	s, db := magazine(t)
	when := time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.FixedZone("", 3600))
	ada := Author{Email: "ada@example.com", Name: "Ada", Articles: []Article{
		{Title: "one", Score: 1.5, Live: true, Raw: []byte{0, 1, 2}, Written: when, Topics: []Topic{{Name: "go"}, {Name: "sql"}}},
		{Title: "two", Raw: []byte{}},
	}}
	if err := db.Create(&ada).Error; err != nil {
		t.Fatal(err)
	}
	var got Author
	if err := db.Preload("Articles.Topics").First(&got, ada.ID).Error; err != nil {
		t.Fatal(err)
	}
	if len(got.Articles) != 2 || len(got.Articles[0].Topics) != 2 || !got.Articles[0].Live || got.Articles[0].Score != 1.5 || string(got.Articles[0].Raw) != "\x00\x01\x02" {
		t.Fatalf("%+v", got)
	}
	if w := got.Articles[0].Written; !w.Equal(when) || w.Location() != time.UTC || got.CreatedAt.IsZero() {
		t.Fatalf("times: %v %v", w, got.CreatedAt)
	}
	if err := db.Create(&Author{Email: "ada@example.com"}).Error; !errors.Is(err, gorm.ErrDuplicatedKey) {
		t.Fatalf("duplicate: %v", err)
	}
	if err := db.Create(&Article{AuthorID: 999}).Error; !errors.Is(err, gorm.ErrForeignKeyViolated) {
		t.Fatalf("reference: %v", err)
	}
	upsert := clause.OnConflict{Columns: []clause.Column{{Name: "email"}}, DoUpdates: clause.AssignmentColumns([]string{"name"})}
	if err := db.Clauses(upsert).Create(&Author{Email: "ada@example.com", Name: "Countess"}).Error; err != nil {
		t.Fatal(err)
	}
	var named Author
	if err := db.Where("name = @name", map[string]any{"name": "Countess"}).First(&named).Error; err != nil || named.ID != ada.ID {
		t.Fatalf("%v %v", named.ID, err)
	}
	nested(t, db, ada.ID)
	var depth int
	if err := db.Raw(`WITH RECURSIVE up(id, parent_id, n) AS (SELECT id, parent_id, 1 FROM magazine_articles WHERE id = ?
		UNION ALL SELECT a.id, a.parent_id, n + 1 FROM magazine_articles a JOIN up ON a.id = up.parent_id) SELECT max(n) FROM up`, 2).Scan(&depth).Error; err != nil || depth != 1 {
		t.Fatalf("%d %v", depth, err)
	}
	if err := db.Delete(&ada).Error; err != nil {
		t.Fatal(err)
	}
	if err := db.First(&Author{}, ada.ID).Error; !errors.Is(err, gorm.ErrRecordNotFound) {
		t.Fatalf("soft delete: %v", err)
	}
	if err := db.Unscoped().First(&Author{}, ada.ID).Error; err != nil {
		t.Fatal(err)
	}
	types, err := db.Migrator().ColumnTypes(&Article{})
	if err != nil || len(types) != 8 {
		t.Fatalf("%d columns, %v", len(types), err)
	}
	if !db.Migrator().HasTable(&Topic{}) || !db.Migrator().HasIndex(&Author{}, "Email") {
		t.Fatal("the migrator does not see the schema")
	}
	if n := s.tunnel.Stats().Denied; n != 0 {
		t.Fatalf("%d statements were denied", n)
	}
}

// nested nests transactions, of which the inner one fails.
func nested(t *testing.T, db *gorm.DB, author uint) {
	t.Helper()
	boom := errors.New("boom")
	err := db.Transaction(func(tx *gorm.DB) error {
		if err := tx.Model(&Author{}).Where("id = ?", author).Update("name", "outer").Error; err != nil {
			return err
		}
		if err := tx.Transaction(func(tx *gorm.DB) error {
			if err := tx.Model(&Author{}).Where("id = ?", author).Update("name", "inner").Error; err != nil {
				return err
			}
			return boom
		}); !errors.Is(err, boom) {
			t.Errorf("got %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var a Author
	if err := db.First(&a, author).Error; err != nil || a.Name != "outer" {
		t.Fatalf("%q %v", a.Name, err)
	}
}

func TestMigrate_RunsEachStepOnceAndRefusesAChangedPast(t *testing.T) {
	t.Parallel()
	s, _ := magazine(t)
	o := tunnel.Options{Socket: s.socket, Bearer: migrateBearer}
	applied := map[int]string{}
	var rows []struct {
		Number int
		Name   string
	}
	if err := s.store.Read(t.Context()).Raw(`SELECT number, name FROM core_module_migrations WHERE module = 'magazine'`).Scan(&rows).Error; err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		applied[r.Number] = r.Name
	}
	if len(applied) != 3 {
		t.Fatalf("recorded: %v", applied)
	}
	if ran, err := tunnel.Migrate(t.Context(), o, applied, magazineSteps()); err != nil || len(ran) != 0 {
		t.Fatalf("again: %v %v", ran, err)
	}
	renamed := magazineSteps()
	renamed[1].Name = "something else"
	if _, err := tunnel.Migrate(t.Context(), o, applied, renamed); err == nil {
		t.Error("a renamed step went through")
	}
	if _, err := tunnel.Migrate(t.Context(), o, applied, magazineSteps()[:2]); err == nil {
		t.Error("an older module went through")
	}
	if _, err := tunnel.Migrate(t.Context(), o, map[int]string{}, magazineSteps()); err == nil {
		t.Error("the host let a step run twice")
	}
	boom := errors.New("boom")
	more := append(magazineSteps(), sdkdb.Migration(4, "drop all", func(tx *gorm.DB) error {
		if err := tx.Migrator().DropTable(&Article{}); err != nil {
			return err
		}
		return boom
	}))
	if _, err := tunnel.Migrate(t.Context(), o, applied, more); !errors.Is(err, boom) {
		t.Errorf("got %v", err)
	}
	if !s.store.Read(t.Context()).Migrator().HasTable("magazine_articles") {
		t.Error("a failed migration left something behind")
	}
}
