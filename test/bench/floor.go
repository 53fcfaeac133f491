package main

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver

	"github.com/strongroom/strongroom/internal/sigv4"
)

// floorSecrets is what the floor preloads; reads pick any of them.
const floorSecrets = 10_000

// floor serves GetSecretValue and nothing else, done plainly: no policies, no
// nested calls, no generations. It writes its address to standard output.
func floor(dir string) error {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "floor.db")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		return err
	}
	h := &floorHandler{keyID: os.Getenv("FLOOR_KEY"), secret: os.Getenv("FLOOR_SECRET")}
	key := make([]byte, 32)
	rand.Read(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return err
	}
	if h.wrap, err = cipher.NewGCM(block); err != nil {
		return err
	}
	if err := h.fill(db); err != nil {
		return err
	}
	if h.read, err = db.Prepare(`SELECT data_key, sealed FROM secrets WHERE name = $1`); err != nil {
		return err
	}
	if h.log, err = os.Create(filepath.Join(dir, "audit")); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	if tlsDir := os.Getenv("FLOOR_TLS"); tlsDir != "" {
		cert, err := tls.LoadX509KeyPair(filepath.Join(tlsDir, "server.pem"), filepath.Join(tlsDir, "server.key"))
		if err != nil {
			return err
		}
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}})
	}
	s := &http.Server{Handler: h}
	return s.Serve(l)
}

type floorHandler struct {
	keyID, secret string
	wrap          cipher.AEAD
	read          *sql.Stmt
	mu            sync.Mutex
	log           *os.File
	keyDate       string
	key           sigv4.Key
}

func (h *floorHandler) fill(db *sql.DB) error {
	if _, err := db.Exec(`CREATE TABLE secrets (name TEXT, data_key BLOB, sealed BLOB); CREATE UNIQUE INDEX secrets_name ON secrets (name)`); err != nil {
		return err
	}
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	for i := range floorSecrets {
		dataKey := make([]byte, 32)
		rand.Read(dataKey)
		block, err := aes.NewCipher(dataKey)
		if err != nil {
			return err
		}
		gcm, err := cipher.NewGCM(block)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(`INSERT INTO secrets VALUES ($1, $2, $3)`, name(i), seal(h.wrap, dataKey), seal(gcm, []byte(value))); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func seal(a cipher.AEAD, plain []byte) []byte {
	nonce := make([]byte, a.NonceSize(), a.NonceSize()+len(plain)+a.Overhead())
	rand.Read(nonce)
	return a.Seal(nonce, nonce, plain, nil)
}

func open(a cipher.AEAD, sealed []byte) ([]byte, error) {
	return a.Open(nil, sealed[:a.NonceSize()], sealed[a.NonceSize():], nil)
}

func (h *floorHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err == nil {
		err = h.verify(r, body)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	var in struct{ SecretId string }
	if err := json.Unmarshal(body, &in); err != nil {
		http.Error(w, "bad request", http.StatusBadRequest)
		return
	}
	plain, err := h.load(in.SecretId)
	if err != nil {
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	record := fmt.Appendf(nil, `{"time":%d,"name":%q,"source":%q}`+"\n", time.Now().UnixMicro(), in.SecretId, r.RemoteAddr)
	h.mu.Lock()
	for range 2 { // the call and the key's use
		_, err = h.log.Write(record)
	}
	h.mu.Unlock()
	if err != nil {
		http.Error(w, "audit", http.StatusInternalServerError)
		return
	}
	out, err := json.Marshal(map[string]any{"Name": in.SecretId, "SecretString": string(plain), "VersionStages": []string{"AWSCURRENT"}, "CreatedDate": 1712813867.123})
	if err != nil {
		http.Error(w, "encode", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	_, _ = w.Write(out)
}

func (h *floorHandler) load(secret string) ([]byte, error) {
	var wrapped, sealed []byte
	if err := h.read.QueryRow(secret).Scan(&wrapped, &sealed); err != nil {
		return nil, err
	}
	dataKey, err := open(h.wrap, wrapped)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(dataKey)
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return open(gcm, sealed)
}

func (h *floorHandler) verify(r *http.Request, body []byte) error {
	sig, err := sigv4.Parse(r)
	if err != nil {
		return err
	}
	if err := sig.CheckScope("secretsmanager", func(s string) bool { return s == region }, time.Now(), 5*time.Minute); err != nil {
		return err
	}
	if sig.AccessKeyID != h.keyID {
		return sigv4.ErrUnrecognizedClient
	}
	h.mu.Lock()
	if h.keyDate != sig.Date {
		h.keyDate, h.key = sig.Date, sigv4.SigningKey([]byte(h.secret), sig.Date, region, "secretsmanager")
	}
	key := h.key
	h.mu.Unlock()
	hash := sha256.Sum256(body)
	return sig.Verify(&key, &hash, false)
}
