// Package extras is for tests that need programs which the project itself does not, such as NumPy, PyTorch and Chromium.
//
// Such a test is called TestExtras..., asks for what it needs first, and is skipped where that is not installed:
//
//	func TestExtrasNumPyLoads(t *testing.T) {
//		python := extras.Python(t, "numpy")
//		...
//
// .ci/extras installs everything, sets SIGMAZ_EXTRAS=required, by which nothing is skipped, and runs the tests of all
// packages that import this one.
package extras
