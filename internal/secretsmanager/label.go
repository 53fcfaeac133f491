package secretsmanager

import "slices"

// Staging labels that the service moves by itself (spec secretsmanager.md 3).
const (
	stageCurrent  = "AWSCURRENT"
	stagePrevious = "AWSPREVIOUS"
	stagePending  = "AWSPENDING"
)

// labels says which version carries which staging label. A label is on at most
// one version; the order is that of attaching. It is a value: every method that
// changes something returns a new one.
type labels []label

type label struct {
	Stage, Version string
}

// versionOf returns the version that carries stage, or "".
func (l labels) versionOf(stage string) string {
	for _, x := range l {
		if x.Stage == stage {
			return x.Version
		}
	}
	return ""
}

// of returns the labels of a version in the order attached, nil when it has none.
func (l labels) of(version string) []string {
	var out []string
	for _, x := range l {
		if x.Version == version {
			out = append(out, x.Stage)
		}
	}
	return out
}

// byVersion groups the labels for DescribeSecret; nil when there are none.
func (l labels) byVersion() map[string][]string {
	if len(l) == 0 {
		return nil
	}
	out := make(map[string][]string)
	for _, x := range l {
		out[x.Version] = append(out[x.Version], x.Stage)
	}
	return out
}

// attach puts stage on version, taking it from any other. A label that is there
// already keeps its place.
func (l labels) attach(stage, version string) labels {
	if l.versionOf(stage) == version {
		return l
	}
	return append(l.detach(stage), label{stage, version})
}

// detach takes stage off whatever version has it.
func (l labels) detach(stage string) labels {
	out := make(labels, 0, len(l)+1)
	for _, x := range l {
		if x.Stage != stage {
			out = append(out, x)
		}
	}
	return out
}

// promote moves AWSCURRENT to version, and AWSPREVIOUS to the version that
// loses it (spec 3.3). Other labels stay where they are.
func (l labels) promote(version string) labels {
	old := l.versionOf(stageCurrent)
	if old == version {
		return l
	}
	l = l.attach(stageCurrent, version)
	if old != "" {
		l = l.attach(stagePrevious, old)
	}
	return l
}

// withNewVersion is the movement when a new version arrives by Put or Update
// (spec 3.2). stages nil means none were asked for.
func (l labels) withNewVersion(version string, stages []string) labels {
	becomesCurrent := len(stages) == 0 || slices.Contains(stages, stageCurrent) || l.versionOf(stageCurrent) == ""
	if becomesCurrent {
		// A new current value abandons a rotation in progress, and a finished
		// rotation's left-over AWSPENDING does not stay on the old version.
		l = l.detach(stagePending).promote(version)
	}
	for _, stage := range stages {
		// AWSPREVIOUS was just given to the version that lost AWSCURRENT; asking
		// for both on the new version is honoured as asked.
		l = l.attach(stage, version)
	}
	return l
}
