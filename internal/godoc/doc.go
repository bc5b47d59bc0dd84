// Package godoc holds the test that go doc opens every package with its package comment. It has no code of its own.
//
// The comment right above a package clause is the package's. One that describes a file must be followed by a blank
// line, or go doc shows it too, before or instead of the package's. That is easy to forget, and staticcheck's ST1000 is
// content with any file that has the package's comment.
package godoc
