// Package setting is the error of a setting that cannot be what it is.
//
// A setting is a key with a value, such as "size" with "0". The packages that judge values know no command line: they
// name the setting by its key, as the configuration file has it. Only the command that the value came from says
// whether that was a flag, and writes the dash before it:
//
//	var bad *setting.Error
//	if errors.As(err, &bad) { ... "-" + bad.Error() ... }
package setting
