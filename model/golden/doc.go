// Package golden reads the golden files that tests compare networks with: results of the original PyTorch programs, in
// model/testdata/golden and in the folder that the environment variable GOLDEN_DIR names. The README in that folder
// says what a file holds. Only tests import it.
package golden
