// Package checkpoint reads and writes files with a network's weights.
//
//	checkpoint.go    the checkpoints of this program: a whole run in one safetensors file
//	weights.go       opening any file with weights, one tensor at a time: begin here to use weights
//	statedict.go     state_dicts in safetensors, read and written for PyTorch
//	huggingface.go   a state_dict in a folder for the hub
//	pytorch.go       what torch.save wrote, by this program's originals and others
//	infer.go         which network a file's parameters are of, where it does not say
//	safetensors.go   the container of the first and the third
//
// # Convention
//
// Tensors go by PyTorch's names and lie in PyTorch's layout: (Cout, Cin, kH, kW) for convolutions. A prefix says what
// they are: param.NAME a parameter, ema.NAME its moving average, adam_m.NAME and adam_v.NAME Adam's moments. Only
// package model turns them into memory order.
//
// # Errors
//
// An error is one sentence that names the file, what was found and expected, and what to do. Where the content of a
// safetensors file is at fault it is a [*FileError], and errors.Is tells its kind:
//
//	ErrTruncated        the file ends before its header says: its writing or copying was cut short
//	ErrDamaged          bytes have changed since it was written
//	ErrVersion          a checkpoint of another version of this program
//	ErrNotCheckpoint    safetensors, but of another program
//	ErrNotSafetensors   no safetensors file at all
//	ErrUnsupported      a tensor of a kind that this program does not hold
package checkpoint
