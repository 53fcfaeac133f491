package envelope

import "fmt"

// FormatValue is the format byte of a sealed value.
const FormatValue byte = 0x41

// maxValue bounds what a value may hold: well above the 65,536 bytes of a secret
// (spec secretsmanager.md 12), well below what could exhaust memory.
const maxValue = 1 << 20

// ValueName is the place that a value belongs to. A value opens nowhere else.
type ValueName struct {
	// Account is the 12-digit owner, ARN the full ARN of the resource, VersionID
	// the version of it, and Purpose tells values of one version apart.
	Account, ARN, VersionID, Purpose string
}

// SealValue encrypts plaintext, of at most 1 MiB, under dataKey and binds it to
// name. dataKey must be 32 bytes that were made for this value and seal no other.
func SealValue(dataKey []byte, name ValueName, plaintext []byte) ([]byte, error) {
	if len(dataKey) != MaterialSize {
		return nil, fmt.Errorf("seal value: data key of %d bytes, want %d", len(dataKey), MaterialSize)
	}
	if len(plaintext) > maxValue {
		return nil, fmt.Errorf("seal value: plaintext of %d bytes, at most %d", len(plaintext), maxValue)
	}
	gcm, err := newGCM(dataKey)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 1, 1+nonceSize+len(plaintext)+tagSize)
	out[0] = FormatValue
	return gcm.Seal(out, nil, plaintext, name.additional()), nil
}

// OpenValue decrypts what SealValue made with the same dataKey and name. The only
// error is ErrInvalidCiphertext.
func OpenValue(dataKey []byte, name ValueName, sealed []byte) ([]byte, error) {
	const least = 1 + nonceSize + tagSize
	if len(dataKey) != MaterialSize || len(sealed) < least || len(sealed) > least+maxValue || sealed[0] != FormatValue {
		return nil, ErrInvalidCiphertext
	}
	gcm, err := newGCM(dataKey)
	if err != nil {
		return nil, ErrInvalidCiphertext
	}
	plaintext, err := gcm.Open(nil, nil, sealed[1:], name.additional())
	if err != nil {
		return nil, ErrInvalidCiphertext
	}
	return plaintext, nil
}

func (n ValueName) additional() []byte {
	out := make([]byte, 0, 1+4*4+len(n.Account)+len(n.ARN)+len(n.VersionID)+len(n.Purpose))
	out = append(out, FormatValue)
	out = AppendText(out, n.Account)
	out = AppendText(out, n.ARN)
	out = AppendText(out, n.VersionID)
	return AppendText(out, n.Purpose)
}
