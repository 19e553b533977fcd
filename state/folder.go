package state

import (
	"encoding/binary"
	"errors"
)

// folderForm is the first byte of a packed folder. Another form gets another number.
const folderForm = 1

// folderHead is the length of what stands before Engine: the form, four numbers of four bytes and one of eight.
const folderHead = 1 + 4*4 + 8

// Pack returns f without its name, as stores keep it: the name is the key. JSON would spoil names and notes that are
// not UTF-8, and there may be many folders for each user.
func (f Folder) Pack() []byte {
	b := make([]byte, 0, folderHead+len(f.Engine))
	b = append(b, folderForm)
	b = binary.BigEndian.AppendUint32(b, f.UIDValidity)
	b = binary.BigEndian.AppendUint32(b, f.TargetUIDValidity)
	b = binary.BigEndian.AppendUint32(b, f.UIDNext)
	b = binary.BigEndian.AppendUint32(b, f.Messages)
	b = binary.BigEndian.AppendUint64(b, f.HighestModSeq)
	return append(b, f.Engine...)
}

// UnpackFolder is the inverse of Pack.
func UnpackFolder(name string, b []byte) (Folder, error) {
	if len(b) < folderHead || b[0] != folderForm {
		return Folder{}, errors.New("folder is stored in a form that this version does not know")
	}
	f := Folder{
		Name:              name,
		UIDValidity:       binary.BigEndian.Uint32(b[1:]),
		TargetUIDValidity: binary.BigEndian.Uint32(b[5:]),
		UIDNext:           binary.BigEndian.Uint32(b[9:]),
		Messages:          binary.BigEndian.Uint32(b[13:]),
		HighestModSeq:     binary.BigEndian.Uint64(b[17:]),
	}
	if len(b) > folderHead {
		f.Engine = append([]byte(nil), b[folderHead:]...)
	}
	return f, nil
}
