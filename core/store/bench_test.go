package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/mattn/go-sqlite3" // the same queries without the tunnel
	"gorm.io/gorm"
)

// BenchmarkQuery compares a query over the tunnel with the same query in the process that has the file open.
//
//	go test ./core/store -run '^$' -bench Query -benchtime 2s
func BenchmarkQuery(b *testing.B) {
	s := blog(b)
	through := s.open(b)
	through.SetMaxIdleConns(8)
	for i := range 1000 {
		if _, err := through.Exec(`INSERT INTO blog_posts (title, rating, live, at) VALUES (?, ?, ?, '2026-01-02 03:04:05')`,
			fmt.Sprintf("The title of post %d", i), float64(i)/3, i%2 == 0); err != nil {
			b.Fatal(err)
		}
	}
	direct, err := sql.Open("sqlite3", "file:"+filepath.ToSlash(s.store.Path())+"?_query_only=on&_stmt_cache_size=100")
	if err != nil {
		b.Fatal(err)
	}
	defer direct.Close()
	for _, n := range []int{1, 50, 1000} {
		for name, db := range map[string]*sql.DB{"direct": direct, "tunnel": through} {
			b.Run(fmt.Sprintf("%drows/%s", n, name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					queryPosts(b, db, n)
				}
			})
		}
	}
}

func queryPosts(b *testing.B, db *sql.DB, n int) {
	rows, err := db.QueryContext(b.Context(), `SELECT id, title, rating, live, at FROM blog_posts WHERE id > ? LIMIT ?`, 0, n)
	if err != nil {
		b.Fatal(err)
	}
	defer rows.Close()
	var id int64
	var title, at string
	var rating float64
	var live bool
	got := 0
	for rows.Next() {
		if err := rows.Scan(&id, &title, &rating, &live, &at); err != nil {
			b.Fatal(err)
		}
		got++
	}
	if rows.Err() != nil || got != n {
		b.Fatalf("got %d rows, %v", got, rows.Err())
	}
}

type post struct {
	ID     uint
	Title  string
	Rating float64
	Live   bool
}

func (post) TableName() string { return "blog_posts" }

// BenchmarkGORM is what a module's handler does.
func BenchmarkGORM(b *testing.B) {
	s := blog(b)
	db := s.gorm(b, "blog")
	for i := range 50 {
		if err := db.Create(&post{Title: fmt.Sprint(i)}).Error; err != nil {
			b.Fatal(err)
		}
	}
	b.Run("First", func(b *testing.B) {
		for b.Loop() {
			var p post
			if err := db.First(&p, 7).Error; err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Find50", func(b *testing.B) {
		for b.Loop() {
			var p []post
			if err := db.Find(&p).Error; err != nil || len(p) != 50 {
				b.Fatal(err)
			}
		}
	})
	b.Run("Update", func(b *testing.B) {
		n := 0
		for b.Loop() {
			n++
			if err := db.Model(&post{ID: 7}).Update("rating", n).Error; err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("TransactionOfTwo", func(b *testing.B) {
		n := 0
		for b.Loop() {
			n++
			if err := db.Transaction(func(tx *gorm.DB) error {
				if err := tx.Model(&post{ID: 7}).Update("rating", n).Error; err != nil {
					return err
				}
				return tx.Model(&post{ID: 8}).Update("rating", n).Error
			}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkFairness is one write of a module while eight sessions of another write as fast as they can.
func BenchmarkFairness(b *testing.B) {
	st := openStore(b)
	greedy := openTunnel(b, st, "greedy", []string{"greedy_t"})
	modest := openTunnel(b, st, "modest", []string{"modest_t"})
	for s, text := range map[*site]string{greedy: `CREATE TABLE greedy_t (n INTEGER)`, modest: `CREATE TABLE modest_t (n INTEGER)`} {
		if err := s.migrate(b, text); err != nil {
			b.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(b.Context())
	var crowd sync.WaitGroup
	var writes atomic.Int64
	pool := greedy.open(b)
	for range 8 {
		crowd.Go(func() {
			for ctx.Err() == nil {
				if _, err := pool.Exec(`INSERT INTO greedy_t VALUES (1)`); err != nil {
					b.Error(err)
					return
				}
				writes.Add(1)
			}
		})
	}
	one := modest.open(b)
	var took []time.Duration
	for b.Loop() {
		start := time.Now()
		if _, err := one.Exec(`INSERT INTO modest_t VALUES (1)`); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
	b.ReportMetric(float64(writes.Load())/float64(len(took)), "others/op")
	stop()
	crowd.Wait()
}
