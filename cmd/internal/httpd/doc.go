// Package httpd is what servers of this program share: the address of a flag, and who may ask there.
package httpd
