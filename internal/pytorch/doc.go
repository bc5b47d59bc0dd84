// Package pytorch reads the files of torch.save: a tree of dicts, lists, numbers and tensors. torch.save has two
// containers (torch/serialization.py):
//
//	zip, since PyTorch 1.6                           stream, before it
//	NAME/data.pkl    the tree, a pickle              pickle: the number 0x1950a86a20f9469cfc6c
//	NAME/byteorder   "little" or "big"; may be none  pickle: 1001, the version
//	NAME/data/KEY    the values of storage KEY       pickle: the machine that wrote it
//	NAME/version     ...                             pickle: the tree
//	                                                 pickle: the list of the storages' keys
//	                                                 for each: int64 number of values, the values; little-endian
//
// The tree names a storage by its type, its key and its number of values. Tensors are windows on storages.
//
// A pickle is a program, and the files come from anywhere. No code is run: the reader knows the few classes that
// checkpoints are made of (unpickle.go), and an object of any other stays a name (opaque.go). It allocates no more than
// the file's size justifies: values stay in the file until [Read] asks for them.
//
// Begin with [Open] and [File.Root].
package pytorch
