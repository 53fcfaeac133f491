package backup

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
)

// Encrypt begins a stream to recipients ("age1…") or to whoever knows a
// passphrase; one of the two must be given. Closing it ends the stream.
func Encrypt(to io.Writer, recipients []string, passphrase string) (io.WriteCloser, error) {
	var list []age.Recipient
	switch {
	case passphrase != "" && len(recipients) > 0:
		return nil, errors.New("a backup is for recipients or under a passphrase, not both")
	case passphrase != "":
		r, err := age.NewScryptRecipient(passphrase)
		if err != nil {
			return nil, fmt.Errorf("encrypt backup: %w", err)
		}
		list = append(list, r)
	case len(recipients) > 0:
		for i, text := range recipients {
			one, err := age.ParseRecipients(strings.NewReader(text))
			if err != nil {
				// The library's error repeats the text, which may be an identity
				// in the wrong place.
				return nil, fmt.Errorf("recipient %d is not one of age (age1...)", i+1)
			}
			list = append(list, one...)
		}
	default:
		return nil, errors.New("a backup needs recipients or a passphrase")
	}
	w, err := age.Encrypt(to, list...)
	if err != nil {
		return nil, fmt.Errorf("encrypt backup: %w", err)
	}
	return w, nil
}

// Identities opens backups.
type Identities []age.Identity

// ParseIdentities reads a file of age identities ("AGE-SECRET-KEY-1…").
func ParseIdentities(from io.Reader) (Identities, error) {
	list, err := age.ParseIdentities(from)
	if err != nil {
		// The library's error may repeat a part of the line.
		return nil, errors.New("it holds no age identity that can be read")
	}
	return list, nil
}

// Passphrase is the identity of whoever knows it.
func Passphrase(text string) (Identities, error) {
	id, err := age.NewScryptIdentity(text)
	if err != nil {
		return nil, err
	}
	return Identities{id}, nil
}

// Decrypt begins to read an encrypted stream.
func Decrypt(from io.Reader, ids Identities) (io.Reader, error) {
	r, err := age.Decrypt(from, ids...)
	if no := new(age.NoIdentityMatchError); errors.As(err, &no) {
		return nil, errors.New("the passphrase or identity does not open this backup")
	}
	if err != nil {
		return nil, fmt.Errorf("open backup: %w", err)
	}
	return r, nil
}

// Once makes a recipient that only this process can read for.
func Once() (recipient string, ids Identities, err error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return "", nil, err
	}
	return id.Recipient().String(), Identities{id}, nil
}
