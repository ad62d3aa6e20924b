// Verifies what a log of Parley's hands out with the packages behind Go's checksum database,
// golang.org/x/mod/sumdb/note and .../tlog. It shares no line with Parley.
//
// usage: sumdb FOLDER, with vkey, checkpoint, checkpoint.old, leaf, inclusion.json,
// consistency.json, and the log's tiles (c2sp.org/tlog-tiles) below tile/.
// Prints what holds; ends with 1 at the first thing that does not.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8 // of a tile: 256 hashes

func main() {
	folder := os.Args[1]
	tree, err := open(folder, "checkpoint")
	report("checkpoint", err)
	old, err := open(folder, "checkpoint.old")
	report("old checkpoint", err)
	report("inclusion", inclusion(folder, tree))
	report("consistency", consistency(folder, tree, old))
	hashes, err := entries(folder, tree, old)
	report("entries", err)
	report("tiles", tilesHold(folder, hashes, tree))
	report("proof from tiles", proofFromTiles(folder, tree, old))
}

func report(what string, err error) {
	if err != nil {
		fmt.Printf("%s: %v\n", what, err)
		os.Exit(1)
	}
	fmt.Printf("%s: holds\n", what)
}

// open checks a checkpoint's signature; its text is c2sp.org/tlog-checkpoint.
func open(folder, name string) (tree tlog.Tree, err error) {
	vkey, err := os.ReadFile(filepath.Join(folder, "vkey"))
	if err != nil {
		return tree, err
	}
	verifier, err := note.NewVerifier(strings.TrimSpace(string(vkey)))
	if err != nil {
		return tree, err
	}
	text, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		return tree, err
	}
	opened, err := note.Open(text, note.VerifierList(verifier))
	if err != nil {
		return tree, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() {
		return tree, fmt.Errorf("not a checkpoint of %s", verifier.Name())
	}
	if tree.N, err = strconv.ParseInt(lines[1], 10, 64); err != nil {
		return tree, err
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return tree, fmt.Errorf("malformed root")
	}
	copy(tree.Hash[:], root)
	return tree, nil
}

// proof reads the answer of /api/audit/proof.
func proof(folder, name string) (index int64, hashes []tlog.Hash, err error) {
	data, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		return 0, nil, err
	}
	var answer struct {
		Index  int64
		Hashes []string
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return 0, nil, err
	}
	for _, text := range answer.Hashes {
		var hash tlog.Hash
		if n, err := hex.Decode(hash[:], []byte(text)); err != nil || n != tlog.HashSize {
			return 0, nil, fmt.Errorf("malformed hash")
		}
		hashes = append(hashes, hash)
	}
	return answer.Index, hashes, nil
}

func inclusion(folder string, tree tlog.Tree) error {
	leaf, err := os.ReadFile(filepath.Join(folder, "leaf"))
	if err != nil {
		return err
	}
	index, hashes, err := proof(folder, "inclusion.json")
	if err != nil {
		return err
	}
	return tlog.CheckRecord(hashes, tree.N, tree.Hash, index, tlog.RecordHash(leaf))
}

func consistency(folder string, tree, old tlog.Tree) error {
	_, hashes, err := proof(folder, "consistency.json")
	if err != nil {
		return err
	}
	return tlog.CheckTree(hashes, tree.N, tree.Hash, old.N, old.Hash)
}

// entries builds the whole tree anew from the entry bundles, and compares both roots.
func entries(folder string, tree, old tlog.Tree) (tlog.HashReader, error) {
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var found []tlog.Hash
		for _, index := range indexes {
			found = append(found, stored[index])
		}
		return found, nil
	})
	var bundle []byte
	for n := int64(0); n < tree.N; n++ {
		if n%256 == 0 {
			width := 256
			if tree.N-n < 256 {
				width = int(tree.N - n)
			}
			tile := tlog.Tile{H: height, L: 0, N: n / 256, W: width}
			path := strings.Replace(tile.Path(), "tile/8/0/", "tile/entries/", 1)
			var err error
			if bundle, err = os.ReadFile(filepath.Join(folder, path)); err != nil {
				return nil, err
			}
		}
		if len(bundle) < 2 || len(bundle)-2 < int(binary.BigEndian.Uint16(bundle)) {
			return nil, fmt.Errorf("entry %d is cut off", n)
		}
		end := 2 + int(binary.BigEndian.Uint16(bundle))
		hashes, err := tlog.StoredHashes(n, bundle[2:end], reader)
		if err != nil {
			return nil, err
		}
		stored, bundle = append(stored, hashes...), bundle[end:]
	}
	for _, signed := range []tlog.Tree{old, tree} {
		if root, err := tlog.TreeHash(signed.N, reader); err != nil || root != signed.Hash {
			return nil, fmt.Errorf("the first %d do not have the signed root", signed.N)
		}
	}
	return reader, nil
}

// tilesHold compares every tile with what the entries give. Nothing less will do: this version's
// TileHashReader lets a tile pass unchecked where several parts of the tree's edge share one.
func tilesHold(folder string, hashes tlog.HashReader, tree tlog.Tree) error {
	var wanted []tlog.Tile
	for level := 0; tree.N>>(height*level) > 0; level++ {
		nodes := tree.N >> (height * level)
		for n := int64(0); n < nodes>>height; n++ {
			wanted = append(wanted, tlog.Tile{H: height, L: level, N: n, W: 1 << height})
		}
		if rest := nodes % (1 << height); rest > 0 {
			wanted = append(wanted, tlog.Tile{H: height, L: level, N: nodes >> height, W: int(rest)})
		}
	}
	found, err := tiles{folder}.ReadTiles(wanted)
	if err != nil {
		return err
	}
	for i, tile := range wanted {
		data, err := tlog.ReadTileData(tile, hashes)
		if err != nil || !bytes.Equal(data, found[i]) {
			return fmt.Errorf("%s is not what the entries give", tile.Path())
		}
	}
	return nil
}

// proofFromTiles does what a client of the log would: proves from tiles alone.
func proofFromTiles(folder string, tree, old tlog.Tree) error {
	hashes, err := tlog.ProveTree(tree.N, old.N, tlog.TileHashReader(tree, tiles{folder}))
	if err != nil {
		return err
	}
	return tlog.CheckTree(hashes, tree.N, tree.Hash, old.N, old.Hash)
}

// tiles reads the files of c2sp.org/tlog-tiles, whose paths leave out the height.
type tiles struct{ folder string }

func (t tiles) Height() int { return height }

func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range wanted {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		data, err := os.ReadFile(filepath.Join(t.folder, path))
		if err != nil {
			return nil, err
		}
		found = append(found, data)
	}
	return found, nil
}
