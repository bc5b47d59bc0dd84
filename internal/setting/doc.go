// Package setting is the error of a setting that cannot be what it is.
//
// A setting is a key with a value, such as "size" with "0". The packages that judge values know no command line: they
// name the setting by its key, as the configuration file has it. Only the command that the value came from says
// whether that was a flag, and writes the dash before it:
//
//	var bad *setting.Error
//	if errors.As(err, &bad) { ... "-" + bad.Error() ... }
//
// A sentence that points to another setting has its name between backquotes: "use `net` mlp, or `preset` toy". This
// reads well as it is, and a command makes flags of the names with [Names]: "use -net mlp, or -preset toy".
package setting
