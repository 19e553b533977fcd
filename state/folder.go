package state

import (
	"encoding/binary"
	"errors"
)

// folderForm is the first byte of a packed folder. Another form gets another number.
const folderForm = 3

// folderHead is the length of what stands before Target, Skipped and Engine: the form, four numbers of four bytes, one of
// eight, the length of Target in two and the number of gaps, of eight bytes each, in two.
const folderHead = 1 + 4*4 + 8 + 2 + 2

// Pack returns f without its name, as stores keep it: the name is the key. JSON would spoil names and notes that are
// not UTF-8, and there may be many folders for each user.
func (f Folder) Pack() []byte {
	b := make([]byte, 0, folderHead+len(f.Target)+8*len(f.Skipped)+len(f.Engine))
	b = append(b, folderForm)
	b = binary.BigEndian.AppendUint32(b, f.UIDValidity)
	b = binary.BigEndian.AppendUint32(b, f.TargetUIDValidity)
	b = binary.BigEndian.AppendUint32(b, f.UIDNext)
	b = binary.BigEndian.AppendUint32(b, f.Messages)
	b = binary.BigEndian.AppendUint64(b, f.HighestModSeq)
	b = binary.BigEndian.AppendUint16(b, uint16(len(f.Target)))  // at most MaxFolder
	b = binary.BigEndian.AppendUint16(b, uint16(len(f.Skipped))) // at most MaxSkipped
	b = append(b, f.Target...)
	for _, g := range f.Skipped {
		b = binary.BigEndian.AppendUint32(b, g.From)
		b = binary.BigEndian.AppendUint32(b, g.To)
	}
	return append(b, f.Engine...)
}

// UnpackFolder is the inverse of Pack.
func UnpackFolder(name string, b []byte) (Folder, error) {
	if len(b) < folderHead || b[0] != folderForm {
		return Folder{}, errFolderForm
	}
	target, gaps := int(binary.BigEndian.Uint16(b[25:])), int(binary.BigEndian.Uint16(b[27:]))
	rest := b[folderHead:]
	if len(rest) < target+8*gaps {
		return Folder{}, errFolderForm
	}
	f := Folder{
		Name:              name,
		Target:            string(rest[:target]),
		UIDValidity:       binary.BigEndian.Uint32(b[1:]),
		TargetUIDValidity: binary.BigEndian.Uint32(b[5:]),
		UIDNext:           binary.BigEndian.Uint32(b[9:]),
		Messages:          binary.BigEndian.Uint32(b[13:]),
		HighestModSeq:     binary.BigEndian.Uint64(b[17:]),
	}
	for rest = rest[target:]; gaps > 0; gaps-- {
		f.Skipped = append(f.Skipped, Gap{binary.BigEndian.Uint32(rest), binary.BigEndian.Uint32(rest[4:])})
		rest = rest[8:]
	}
	if len(rest) > 0 {
		f.Engine = append([]byte(nil), rest...)
	}
	return f, nil
}

var errFolderForm = errors.New("folder is stored in a form that this version does not know")
