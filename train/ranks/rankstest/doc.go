// Package rankstest has ranks within one process, for tests. Begin reading at [Local].
package rankstest
