// The error: a key and a sentence about it.

package setting

import "fmt"

// Error is a setting with a value that it cannot have, or that nothing has a use for. The sentence is the key, a
// blank, and the text: "size is "0": expected sides of 1 to 16384 pixels".
type Error struct{ Key, Text string }

func (e *Error) Error() string { return e.Key + " " + e.Text }

// Errorf returns an [*Error] about the setting key with the text that format and a make, as [fmt.Sprintf] does.
func Errorf(key, format string, a ...any) error { return &Error{key, fmt.Sprintf(format, a...)} }
