//go:build !unix

// Where links cannot be refused as they are opened, they are looked for before.

package train

const noFollow = 0
