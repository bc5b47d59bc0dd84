// Package traincmd is the command train: it trains a noise-conditional score network and leaves it in a run folder,
// runs/NAME.
//
//	sigmaz train                          digits drawn from fonts, two to four minutes on two cores
//	sigmaz train -data toy:swissroll      points in the plane
//	sigmaz train -resume runs/glyphs-1    go on with a run
//	sigmaz train -h                       every flag
//
// The settings of a run come from a preset, a file given by -config, and flags, each over the one before. settings.go
// has the table of flags; flags.go makes a train.Config of what was given; train.go starts a run, or goes on with
// one, and says what comes of it. Begin reading at [New], then at start.
//
// Exit codes: 0 done, or stopped and saved (by Ctrl-C, SIGTERM or SIGHUP, or because nobody reads its output any
// more); 1 failed; 2 wrong usage; 130 quit before saving.
package traincmd
