package kms

import (
	"time"

	"github.com/strongroom/strongroom/internal/aws"
)

// The resource types of audit records.
const (
	resourceType      = "AWS::KMS::Key"
	aliasResourceType = "AWS::KMS::Alias"
)

// place is where a key or alias lives: the first columns of every row.
type place struct{ account, region string }

func (p place) arn(resource string) string {
	return aws.ARN{Partition: aws.Partition, Service: "kms", Region: p.region, Account: p.account, Resource: resource}.String()
}

func (p place) keyARN(id string) string     { return p.arn("key/" + id) }
func (p place) aliasARN(name string) string { return p.arn(name) }

// key is a row of kms_keys.
type key struct {
	place
	ID string
	// ManagedBy is the service of an AWS-managed key, "" for a customer's.
	ManagedBy string
	// State, Spec, Usage and Origin are words of the wire: KeyStateEnabled,
	// KeySpecSymmetricDefault, KeyUsageEncryptDecrypt, OriginAwsKms and theirs.
	State         string
	Spec          string
	Usage         string
	Origin        string
	Description   string
	Policy        string
	PolicyVersion int64
	Tags          []aws.Tag
	// Material is the id of the material that seals; older ones only open.
	Material  string
	CreatedAt time.Time
	// DeleteAt is zero unless State is PendingDeletion.
	DeleteAt time.Time
}

func (k *key) arn() string   { return k.keyARN(k.ID) }
func (k *key) managed() bool { return k.ManagedBy != "" }

func (k *key) manager() string {
	if k.managed() {
		return KeyManagerAws
	}
	return KeyManagerCustomer
}

// mayCrypt is the first row of the table in spec kms.md 4. A key pending
// deletion answers as live AWS does today, where documentation allows two
// errors.
func (k *key) mayCrypt() error {
	if k.State == KeyStateDisabled {
		return ErrDisabled("%s is disabled.", k.arn())
	}
	return k.mayChange()
}

// mayChange is the rule of EnableKey, DisableKey, ScheduleKeyDeletion and
// CreateAlias (spec kms.md 4).
func (k *key) mayChange() error {
	if k.State == KeyStatePendingDeletion {
		return ErrKMSInvalidState("%s is pending deletion.", k.arn())
	}
	return nil
}

// mayCancelDeletion is CancelKeyDeletion's row (spec kms.md 4).
func (k *key) mayCancelDeletion() error {
	if k.State != KeyStatePendingDeletion {
		return ErrKMSInvalidState("%s is not pending deletion.", k.arn())
	}
	return nil
}

// checkAlgorithm answers an algorithm that other key specs have (spec kms.md 5).
func (k *key) checkAlgorithm(algorithm *string) error {
	if algorithm != nil && *algorithm != EncryptionAlgorithmSpecSymmetricDefault {
		return ErrInvalidKeyUsage("Algorithm %s is incompatible with key spec %s.", *algorithm, k.Spec)
	}
	return nil
}

// metadata is the exact set of members that AWS returns for a symmetric key
// (spec kms.md 3).
func (k *key) metadata() *KeyMetadata {
	m := &KeyMetadata{
		AWSAccountId:          new(k.account),
		Arn:                   new(k.arn()),
		CreationDate:          aws.NewTime(k.CreatedAt),
		CurrentKeyMaterialId:  new(k.Material),
		CustomerMasterKeySpec: new(k.Spec),
		Description:           new(k.Description),
		Enabled:               new(k.State == KeyStateEnabled),
		EncryptionAlgorithms:  []string{EncryptionAlgorithmSpecSymmetricDefault},
		KeyId:                 new(k.ID),
		KeyManager:            new(k.manager()),
		KeySpec:               new(k.Spec),
		KeyState:              new(k.State),
		KeyUsage:              new(k.Usage),
		MultiRegion:           new(false),
		Origin:                new(k.Origin),
	}
	if k.State == KeyStatePendingDeletion {
		m.DeletionDate = aws.NewTime(k.DeleteAt)
	}
	return m
}
