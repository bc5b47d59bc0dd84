// Package mapped maps files into memory and makes an error of a fault in one: reading a mapped file that somebody cut
// short, or whose disk fails, would end the process otherwise (SIGBUS).
//
//	b, mapped, err := mapped.File(f, size, path)
//	...
//	func sum(b []byte) (n int, err error) {
//		defer mapped.Guard(&err)()
//		...
package mapped
