// Command verify-entry asks Rekor's own client whether a log's entry holds: its checkpoint, a
// signed note, and its proof of inclusion.
package main

import (
	"crypto"
	"io"
	"log"
	"os"

	rekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/rekor-tiles/v2/pkg/note"
	"github.com/sigstore/rekor-tiles/v2/pkg/verify"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
	"google.golang.org/protobuf/encoding/protojson"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: verify-entry ORIGIN PUBLIC_KEY_PEM, and a TransparencyLogEntry in JSON")
	}
	if err := check(os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

func check(origin, path string) error {
	pem, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	key, err := cryptoutils.UnmarshalPEMToPublicKey(pem)
	if err != nil {
		return err
	}
	verifier, err := signature.LoadVerifier(key, crypto.SHA256)
	if err != nil {
		return err
	}
	notes, err := note.NewNoteVerifier(origin, verifier)
	if err != nil {
		return err
	}
	document, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	entry := new(rekor.TransparencyLogEntry)
	if err := protojson.Unmarshal(document, entry); err != nil {
		return err
	}
	return verify.VerifyLogEntry(entry, notes)
}
