package redis

import (
	"crypto/sha1"
	"embed"
	"encoding/hex"
)

//go:embed lua/*.lua
var lua embed.FS

// verb is one script. The server knows it by the hash that Redis prescribes.
type verb struct{ name, source, sha string }

func load(name string) *verb {
	b, err := lua.ReadFile("lua/" + name + ".lua")
	if err != nil {
		panic(err) // the file is part of the program
	}
	sum := sha1.Sum(b)
	return &verb{name: name, source: string(b), sha: hex.EncodeToString(sum[:])}
}

var (
	verbAppend        = load("append")
	verbErase         = load("erase")
	verbHead          = load("head")
	verbRead          = load("read")
	verbPutSnapshot   = load("putsnapshot")
	verbStageSnapshot = load("stagesnapshot")
	verbSnapshot      = load("snapshot")
	verbTrim          = load("trim")
	verbPutBlob       = load("putblob")
	verbBlob          = load("blob")
	verbBlobList      = load("bloblist")
	verbDropBlob      = load("dropblob")
	verbTenants       = load("tenants")
	verbMeta          = load("meta")
	verbRaise         = load("raise")
	verbPut           = load("put")
	verbDrop          = load("drop")
	verbPutHint       = load("puthint")
	verbAll           = load("all")
)
