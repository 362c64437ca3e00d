// Verifies a Daypass ledger with the Go project's own packages for transparency logs: the signed
// checkpoint, every entry's inclusion, and consistency with earlier checkpoints.
//
// Arguments: URL, PEM file of TLS roots, verifier key, file of entries (one per line), then files
// with earlier checkpoints. Prints the size of the ledger.
package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 4 {
		return fmt.Errorf("usage: URL ROOTS KEY ENTRIES [CHECKPOINT...]")
	}
	log, err := open(args[0], args[1])
	if err != nil {
		return err
	}
	verifier, err := note.NewVerifier(args[2])
	if err != nil {
		return err
	}
	signed, err := log.get("/checkpoint")
	if err != nil {
		return err
	}
	tree, err := checkpoint(signed, verifier)
	if err != nil {
		return err
	}
	hashes := tlog.TileHashReader(tree, log)
	entries, err := os.ReadFile(args[3])
	if err != nil {
		return err
	}
	if err := included(tree, hashes, bytes.Split(bytes.TrimSuffix(entries, []byte("\n")), []byte("\n"))); err != nil {
		return err
	}
	for _, file := range args[4:] {
		if err := consistent(tree, hashes, verifier, file); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	fmt.Println(tree.N)
	return nil
}

// included checks the last entries of the ledger.
func included(tree tlog.Tree, hashes tlog.HashReader, entries [][]byte) error {
	first := tree.N - int64(len(entries))
	for at, entry := range entries {
		index := first + int64(at)
		proof, err := tlog.ProveRecord(tree.N, index, hashes)
		if err != nil {
			return fmt.Errorf("entry %d: %w", index, err)
		}
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry)); err != nil {
			return fmt.Errorf("entry %d: %w", index, err)
		}
	}
	return nil
}

func consistent(tree tlog.Tree, hashes tlog.HashReader, verifier note.Verifier, file string) error {
	signed, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	old, err := checkpoint(signed, verifier)
	if err != nil {
		return err
	}
	proof, err := tlog.ProveTree(tree.N, old.N, hashes)
	if err != nil {
		return err
	}
	return tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash)
}

// checkpoint opens a note, and parses its text as C2SP tlog-checkpoint.
func checkpoint(signed []byte, verifier note.Verifier) (tlog.Tree, error) {
	var tree tlog.Tree
	opened, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return tree, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 4 || lines[0] != verifier.Name() {
		return tree, fmt.Errorf("not a checkpoint of %s: %q", verifier.Name(), opened.Text)
	}
	if tree.N, err = strconv.ParseInt(lines[1], 10, 64); err != nil {
		return tree, err
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(root) != len(tree.Hash) {
		return tree, fmt.Errorf("not a root: %q", lines[2])
	}
	copy(tree.Hash[:], root)
	return tree, nil
}

// server reads tiles over HTTPS.
type server struct {
	url    string
	client *http.Client
}

func open(url, roots string) (*server, error) {
	pem, err := os.ReadFile(roots)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("no certificate in %s", roots)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	return &server{url, &http.Client{Transport: transport}}, nil
}

func (s *server) get(path string) ([]byte, error) {
	answer, err := s.client.Get(s.url + path)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, answer.Status)
	}
	return body, err
}

func (s *server) Height() int { return 8 }

func (s *server) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, 0, len(tiles))
	for _, tile := range tiles {
		// C2SP leaves the height out of the path.
		body, err := s.get("/" + strings.Replace(tile.Path(), "tile/8/", "tile/", 1))
		if err != nil {
			return nil, err
		}
		data = append(data, body)
	}
	return data, nil
}

func (s *server) SaveTiles([]tlog.Tile, [][]byte) {}
