package cluster

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/internal/servertest"
)

// probe reads and writes one secret by turns, all the time, to time what a client waits.
type probe struct {
	stop func()

	mu           sync.Mutex
	reads, wrote []time.Time
}

// probeEvery is the pause between two calls, probeTimeout what a call may take.
const (
	probeEvery   = 20 * time.Millisecond
	probeTimeout = 2 * time.Second
)

func (c *cluster) client(b *balancer) *secretsmanager.Client {
	return secretsmanager.NewFromConfig(aws.Config{
		Region: servertest.Region, BaseEndpoint: aws.String(balancerURL), HTTPClient: &http.Client{Transport: b}, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(c.admin.AccessKeyID, c.admin.SecretAccessKey, ""),
	})
}

// probeSecret is there before the load begins, so the load's census does not take it for a stray.
const probeSecret = "probe"

func (c *cluster) startProbe(b *balancer) *probe {
	client := c.client(b)
	ctx, cancel := context.WithCancel(context.Background())
	p := &probe{}
	var wg sync.WaitGroup
	run := func(times *[]time.Time, call func(ctx context.Context) error) {
		wg.Go(func() {
			for ctx.Err() == nil {
				one, done := context.WithTimeout(ctx, probeTimeout)
				if call(one) == nil {
					p.mu.Lock()
					*times = append(*times, time.Now())
					p.mu.Unlock()
				}
				done()
				time.Sleep(probeEvery)
			}
		})
	}
	for range 4 { // One call that hangs must not hide the others' success.
		run(&p.reads, func(ctx context.Context) error {
			_, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String(probeSecret)})
			return err
		})
		run(&p.wrote, func(ctx context.Context) error {
			_, err := client.UpdateSecret(ctx, &secretsmanager.UpdateSecretInput{SecretId: aws.String(probeSecret), Description: aws.String(time.Now().String())})
			return err
		})
	}
	p.stop = func() { cancel(); wg.Wait() }
	return p
}

// gap is the longest time between two successes of which the later one is behind a moment.
func gap(times []time.Time, from time.Time) time.Duration {
	var longest time.Duration
	for i := 1; i < len(times); i++ {
		if times[i].After(from) {
			longest = max(longest, times[i].Sub(times[i-1]))
		}
	}
	return longest
}

// since tells how long clients could neither read nor write because of what happened at a moment.
func (p *probe) since(from time.Time) (reads, writes time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return gap(p.reads, from), gap(p.wrote, from)
}

// wroteAfter reports whether a write succeeded after a moment.
func (p *probe) wroteAfter(from time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.wrote); n > 0 && p.wrote[n-1].After(from) {
		return nil
	}
	return fmt.Errorf("no write since %v", time.Since(from))
}
