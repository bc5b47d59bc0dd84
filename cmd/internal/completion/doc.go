// Package completion writes scripts that complete the command line in a shell: commands, flags, the values that a
// flag knows by name, and files. They are made from the same tables as the help texts and call no program, so that
// they are as quick as the shell.
//
// Begin reading at [Script]. A flag's kind of value decides what is offered after it:
//
//	no value (boolean)        what may follow any flag
//	known names alone         these
//	known names among others  these and files
//	a path, by placeholder    files
//	anything else             nothing
package completion
